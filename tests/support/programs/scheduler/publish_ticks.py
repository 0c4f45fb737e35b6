"""Send ticks as beat does, without beat's start-up second: one per input line of the form "slot expires"."""

import sys

from scheduler_service.celery import app

for line in sys.stdin:
    slot, expires = line.split()
    app.send_task("jobs.tick", kwargs={"job": "report-user-tasks", "slot": slot}, expires=float(expires))
    print("sent", flush=True)
