"""Housekeeping of endpoints and deliveries, a few rows at a time, so that no lock is held for long."""

import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from servicekit.database.deadlocks import retries_deadlocks
from webhooks.claims import ENDPOINT_DISABLED
from webhooks.models import DEAD, NEVER, PENDING, Delivery, Endpoint
from webhooks.retry import LONGEST

ROWS_AT_ONCE = 100
# No retry is due later than this from now; a later time was written by a wrong clock.
LATEST = 2 * LONGEST


def clean_up() -> int:
    """Do a small piece of each kind of work; return the number of affected rows, 0 if nothing is left to do."""
    now = timezone.now()
    return sum((_end_disabled(now=now), _delete_old(now=now), _correct_far_future(now=now)))


@retries_deadlocks
def _end_disabled(*, now: datetime.datetime) -> int:
    """Give up the pending deliveries of a disabled endpoint, or delete the rows of a deleted one."""
    endpoint = Endpoint.objects.filter(due_at__lte=now, enabled=False).order_by("due_at").first()
    if endpoint is None:
        return 0
    if endpoint.slot < 0:
        return _delete_endpoint(endpoint)
    pending = Delivery.objects.filter(endpoint=endpoint, state=PENDING)
    # Select first: not every engine can limit an UPDATE.
    ids = list(pending.values_list("id", flat=True)[:ROWS_AT_ONCE])
    pending.filter(id__in=ids).update(state=DEAD, error=ENDPOINT_DISABLED)
    if len(ids) < ROWS_AT_ONCE:
        Endpoint.objects.filter(id=endpoint.id, enabled=False).update(due_at=NEVER)
    return len(ids)


def _delete_endpoint(endpoint: Endpoint) -> int:
    ids = list(Delivery.objects.filter(endpoint=endpoint).values_list("id", flat=True)[:ROWS_AT_ONCE])
    if ids:
        Delivery.objects.filter(id__in=ids).delete()
        return len(ids)
    endpoint.delete()
    return 1


@retries_deadlocks
def _delete_old(*, now: datetime.datetime) -> int:
    """Delete the oldest deliveries that are no longer pending and older than WEBHOOK_DELIVERIES_KEPT_DAYS."""
    kept_since = now - datetime.timedelta(days=settings.WEBHOOK_DELIVERIES_KEPT_DAYS)
    # The lowest ids are the oldest rows, and need no search. Pending ones among them end within days.
    oldest = Delivery.objects.order_by("id").values_list("id", "created_at", "state")[:ROWS_AT_ONCE]
    ids = [id_ for id_, created_at, state in oldest if created_at < kept_since and state != PENDING]
    if ids:
        Delivery.objects.filter(id__in=ids).delete()
    return len(ids)


@retries_deadlocks
def _correct_far_future(*, now: datetime.datetime) -> int:
    """Make deliveries due now that a wrong clock has postponed for longer than any retry."""
    wrong = Endpoint.objects.filter(due_at__gt=now + LATEST, due_at__lt=NEVER).order_by("due_at").first()
    if wrong is None:
        return 0
    with transaction.atomic():
        Endpoint.objects.filter(id=wrong.id).update(due_at=now)
        Delivery.objects.filter(endpoint=wrong, state=PENDING, due_at__gt=now + LATEST).update(due_at=now)
    return 1
