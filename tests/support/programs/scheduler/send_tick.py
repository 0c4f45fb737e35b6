"""Send a tick for the slot that the argument names, as beat does."""

import sys

from jobs.schedule import REPORT_USER_TASKS
from scheduler_service.celery import app

app.send_task(REPORT_USER_TASKS.task, kwargs={"slot": sys.argv[1]}, expires=55)
