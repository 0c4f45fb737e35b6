"""Send a tick for the slot given as the argument, as beat does."""

import sys

from scheduler_service.celery import app

app.send_task("jobs.tick", kwargs={"job": "report-user-tasks", "slot": sys.argv[1]}, expires=55)
