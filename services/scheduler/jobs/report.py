"""The job report-user-tasks."""

import logging

from jobs.selectors import iterate_tasks
from servicekit.http.times import iso_utc

logger = logging.getLogger("jobs.report")


def report_user_tasks(*, user_id: int) -> str:
    """Writes every task of the user, newest first, and their number to the log; returns that as the run's outcome."""
    count = 0
    for task in iterate_tasks(owner_id=user_id):
        count += 1
        logger.info(
            "task",
            extra={
                "title": task.title,
                "duration": task.duration,
                "created_at": iso_utc(task.created_at),
                "updated_at": iso_utc(task.updated_at),
            },
        )
    logger.info("report", extra={"user": user_id, "count": count})
    return "1 task" if count == 1 else f"{count} tasks"
