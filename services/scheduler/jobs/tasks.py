"""The worker's Celery tasks, each a call to the runner."""

import contextlib
import logging
import time
from collections.abc import Iterator

from celery.exceptions import Reject

from jobs.job import parse_slot
from jobs.runner import DatabaseUnavailable, continue_run, run_slot
from jobs.schedule import JOBS
from scheduler_service.celery import app, is_stopping
from servicekit.process.context import request_id

# The pause before a message is requeued while the database is unavailable, to prevent a busy loop.
PAUSE_SECONDS = 1.0

logger = logging.getLogger("jobs.tasks")


@app.task(name="jobs.tick")
def tick(*, job: str, slot: str) -> None:
    """Run the job for this slot; sent by beat."""
    try:
        known, minute = JOBS[job], parse_slot(slot)
    except (KeyError, TypeError, ValueError):
        logger.error("tick unreadable")
        return
    with _delivered_again_after_an_outage():
        run_slot(job=known, slot=minute, request_id=request_id(), stopping=is_stopping)


@app.task(name="jobs.continue")
def continue_(*, job: str, run_id: int, holder: str) -> None:
    """Start or continue this run if ``holder`` is still its last holder; sent by the relay."""
    if job not in JOBS:
        logger.error("job unknown", extra={"job": job})
        return
    with _delivered_again_after_an_outage():
        continue_run(job=JOBS[job], run_id=run_id, holder=holder, stopping=is_stopping)


@contextlib.contextmanager
def _delivered_again_after_an_outage() -> Iterator[None]:
    try:
        yield
    except DatabaseUnavailable as unavailable:
        logger.warning("database unavailable", extra={"error": str(unavailable.__cause__)})
        time.sleep(PAUSE_SECONDS)
        # Requeue the message until it expires. A Celery retry would be a new message, which is lost without Redis.
        raise Reject(unavailable, requeue=True) from unavailable
