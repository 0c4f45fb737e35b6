"""The work of the job report-user-tasks."""

import logging

from django.conf import settings

from jobs.job import Progress, Work
from jobs.models import Task
from jobs.selectors import count_tasks, task_pages
from servicekit.http.times import iso_utc

# jobs.output makes the run fail if one of these lines cannot be written.
logger = logging.getLogger("jobs.report")


def report_user_tasks(checkpoint: str) -> Work:
    """Log the newest REPORT_LIMIT tasks (0: all) of the user REPORT_USER_ID, and how many tasks the user has."""
    owner_id = settings.REPORT_USER_ID
    count = count_tasks(owner_id=owner_id)
    wanted = min(count, settings.REPORT_LIMIT or count)
    written = 0
    for page in task_pages(owner_id=owner_id, limit=wanted):
        for task in page:
            _write(task)
        written += len(page)
        yield Progress(done=written, total=wanted)
    logger.info("report", extra={"user": owner_id, "count": count, "more": max(count - written, 0)})
    return f"{written} of {count} tasks"


def _write(task: Task) -> None:
    logger.info(
        "task",
        extra={
            "title": task.title,
            "duration": task.duration,
            "created_at": iso_utc(task.created_at),
            "updated_at": iso_utc(task.updated_at),
        },
    )
