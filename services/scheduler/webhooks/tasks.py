"""What the worker runs, and what wakes it."""

import logging
from typing import Any

from celery import signals
from django.db import Error as DatabaseLayerError
from django.utils import timezone

from scheduler_service.celery import app
from servicekit.database.outages import is_unavailable
from webhooks import sender
from webhooks.claims import due_endpoints

# A message only wakes, and there is another one soon.
EXPIRES_SECONDS = 5

logger = logging.getLogger("webhooks.tasks")


@app.task(name="webhooks.deliver")
def deliver() -> None:
    """Send what is due."""
    try:
        sender.deliver_due()
    except DatabaseLayerError as error:
        if not is_unavailable(error):
            raise
        # The rows are still due when the database is back, and so is the next message.
        logger.warning("database unavailable", extra={"error": str(error)})


def wake_workers() -> bool:
    """Send a message where something is due; return whether something was. Raises kombu's OperationalError."""
    is_due = due_endpoints(now=timezone.now()).exists()
    if is_due:
        deliver.apply_async(expires=EXPIRES_SECONDS, retry=False)
    return is_due


@signals.worker_process_shutdown.connect
def finish_sending(**kwargs: Any) -> None:
    """Let what is being sent come to its end, so that it is recorded and not sent again."""
    sender.finish()
