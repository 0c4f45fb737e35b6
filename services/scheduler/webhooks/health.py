"""The check and the measures of webhooks for /readyz."""

import datetime

from django.db import Error as DatabaseLayerError
from django.db import connection
from django.utils import timezone

from servicekit.http.health import NotReady
from webhooks.claims import due_endpoints
from webhooks.selectors import oldest_due, oldest_unread_event

# The reader is about a second behind, and a sender starts due deliveries within another second.
LONGEST_WAIT = datetime.timedelta(seconds=30)


def check_webhooks() -> None:
    """Raise NotReady if an event or a due delivery has waited for too long.

    A failed delivery that waits for its next attempt is not due, and no sign of trouble here. Run this after
    check_database, which leaves a connection open.
    """
    if connection.connection is None:
        raise NotReady("are unknown without the database")
    now = timezone.now()
    try:
        waiting = [time for time in (oldest_unread_event(), oldest_due(now=now)) if time is not None]
    except DatabaseLayerError as error:
        raise NotReady("are unknown without the database") from error
    if waiting and now - min(waiting) > LONGEST_WAIT:
        raise NotReady(f"are more than {LONGEST_WAIT.seconds} s late")


def measures() -> dict[str, float | None]:
    """Return the number of due endpoints, and the ages in seconds of the oldest unread event and due delivery."""
    now = timezone.now()
    return {
        "oldest_unread_event_seconds": _age(oldest_unread_event(), now=now),
        "due_webhooks": due_endpoints(now=now).count(),
        "oldest_due_delivery_seconds": _age(oldest_due(now=now), now=now),
    }


def _age(time: datetime.datetime | None, *, now: datetime.datetime) -> float | None:
    """Return the age in seconds, rounded to tenths; 0 if another machine's clock is ahead, None without a time."""
    return None if time is None else round(max((now - time).total_seconds(), 0.0), 1)
