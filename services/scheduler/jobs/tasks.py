"""What the worker runs: each Celery task hands over to one service call."""

import logging
import time
from functools import partial

from celery import Task
from celery.exceptions import Reject
from django.conf import settings

from jobs.report import report_user_tasks
from jobs.schedule import REPORT_USER_TASKS, parse_slot
from jobs.services import DatabaseUnavailable, run_job
from scheduler_service.celery import app

# Between two deliveries of a message while the database is away: what keeps an outage from being a busy loop.
PAUSE_SECONDS = 1.0

logger = logging.getLogger("jobs.tasks")


@app.task(bind=True, name=REPORT_USER_TASKS.task)
def report_user_tasks_task(self: "Task[..., None]", *, slot: str) -> None:
    """Prints the tasks of REPORT_USER_ID, once for each slot."""
    try:
        minute = parse_slot(slot)
    except ValueError:
        logger.error("slot unreadable", extra={"job": REPORT_USER_TASKS.name})
        return
    try:
        run_job(
            job=REPORT_USER_TASKS,
            slot=minute,
            task_id=str(self.request.id),
            work=partial(report_user_tasks, user_id=settings.REPORT_USER_ID),
        )
    except DatabaseUnavailable as away:
        logger.warning("database unavailable", extra={"job": REPORT_USER_TASKS.name, "error": str(away.__cause__)})
        time.sleep(PAUSE_SECONDS)
        # Back to the broker as it is, until it expires. A retry would be a new message, which is lost if Redis is away.
        raise Reject(away, requeue=True) from away
