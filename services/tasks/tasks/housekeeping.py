"""Delete old events and idempotency keys, a few at a time, after a write, since only writes add them.

Only this service may delete them, and its web workers are its only processes (docs/adr/0027).
"""

import datetime
import logging
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import Error as DatabaseLayerError
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from tasks.models import Event, IdempotencyKey
from tasks.services import KEY_LIFETIME

# Per process. A thousand rows are deleted in a few milliseconds, and a hundred a second are more than are added.
EVERY_SECONDS = 10.0
AT_ONCE = 1000
# A time further in the future was written while a clock was wrong, and would keep the row until then.
CLOCKS_DIFFER = datetime.timedelta(days=1)

logger = logging.getLogger("tasks.housekeeping")


class Housekeeping:
    """Runs the deletion at most once per EVERY_SECONDS in this process."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = float("-inf")
        self._lock = threading.Lock()

    def run_when_due(self) -> None:
        """Delete old rows if it is time; a failure is logged and does not fail the request."""
        now = self._clock()
        if now < self._due or connection.in_atomic_block or not self._lock.acquire(blocking=False):
            return
        try:
            self._due = now + EVERY_SECONDS
            delete_old()
        except DatabaseLayerError as error:
            logger.warning("housekeeping failed", extra={"error": type(error).__name__})
        finally:
            self._lock.release()


housekeeping = Housekeeping()


def delete_old() -> None:
    """Delete the oldest expired events and keys, at most AT_ONCE of each."""
    _delete(Event, datetime.timedelta(days=settings.EVENTS_KEPT_DAYS))
    _delete(IdempotencyKey, KEY_LIFETIME)


def _delete(model: type[Event] | type[IdempotencyKey], lifetime: datetime.timedelta) -> None:
    """Delete the expired rows among the AT_ONCE with the lowest ids, which are the oldest."""
    now = timezone.now()
    over = Q(created_at__lte=now - lifetime) | Q(created_at__gt=now + CLOCKS_DIFFER)
    first = model._default_manager.order_by("id").values_list("id", flat=True).first()
    if first is not None:
        model._default_manager.filter(over, id__gte=first, id__lt=first + AT_ONCE).delete()
