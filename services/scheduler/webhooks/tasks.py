"""The sender's Celery task, and the function that triggers it."""

import logging
from typing import Any

from celery import signals
from django.db import Error as DatabaseLayerError
from django.utils import timezone

from scheduler_service.celery import app
from servicekit.database.outages import is_unavailable
from webhooks import sender
from webhooks.claims import due_endpoints

# A message only wakes the sender, and the next one follows soon.
EXPIRES_SECONDS = 5

logger = logging.getLogger("webhooks.tasks")


@app.task(name="webhooks.deliver")
def deliver() -> None:
    """Send due deliveries."""
    try:
        sender.deliver_due()
    except DatabaseLayerError as error:
        if not is_unavailable(error):
            raise
        # When the database recovers, the deliveries are still due, and the next message follows.
        logger.warning("database unavailable", extra={"error": str(error)})


def wake_workers() -> bool:
    """Send a message if deliveries are due; return whether they are. Raises kombu's OperationalError."""
    is_due = due_endpoints(now=timezone.now()).exists()
    if is_due:
        deliver.apply_async(expires=EXPIRES_SECONDS, retry=False)
    return is_due


@signals.worker_process_shutdown.connect
def finish_sending(**kwargs: Any) -> None:
    """Wait for the requests in flight, so that their outcomes are recorded and they are not sent again."""
    sender.finish()
