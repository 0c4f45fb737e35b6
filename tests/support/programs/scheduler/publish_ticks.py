"""Send ticks as beat does, without the second that it takes to start: one for each line of "slot expires"."""

import sys

from jobs.schedule import REPORT_USER_TASKS
from scheduler_service.celery import app

for line in sys.stdin:
    slot, expires = line.split()
    app.send_task(REPORT_USER_TASKS.task, kwargs={"slot": slot}, expires=float(expires))
    print("sent", flush=True)
