"""The reader of the log of events, which creates deliveries from it.

An event's id is assigned before its transaction commits, so a lower id can become visible after a higher one. Waiting
for it would let one stalled writer delay all others' events, so visible events are delivered immediately, and missing
ids are recorded as gaps and looked up in each pass. The order is still correct where it matters: a task's events are
written while its row is locked, so a later event is never visible without the earlier ones.
"""

import datetime
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from servicekit.database.deadlocks import retries_deadlocks
from servicekit.process.context import as_request
from servicekit.telemetry import spans
from webhooks.gaps import missing_ranges, remaining_ranges
from webhooks.models import Delivery, Endpoint, Event, Gap, Position

EVENTS_AT_ONCE = 200
# Ranges per statement.
GAPS_AT_ONCE = 100
# After this time, a missing id will not appear: its transaction was rolled back, or SQL Server skipped it. A writer has
# 10 s per statement and 15 s per request; an hour also allows for a process that was frozen in between.
GAP_KEPT = datetime.timedelta(hours=1)

_POSITION_ID = 1

logger = logging.getLogger("webhooks.reader")


def relay_events() -> int:
    """Create deliveries of the events that have appeared since the last pass; return the number of new events.

    If it is EVENTS_AT_ONCE, there may be more. Passes may overlap: one waits for the other.
    """
    # Usually there is nothing to do, so nothing is written or locked.
    position = Position.objects.filter(id=_POSITION_ID).first()
    if position is None:
        Position.objects.get_or_create(id=_POSITION_ID, defaults={"event_id": 0})
    elif not Gap.objects.exists():
        events = list(_events_after(position.event_id).values_list("id", "owner_id"))
        if not events or _skip(events, position=position.event_id):
            return len(events)
    started_at = time.time_ns()
    fresh, relayed = _relay()
    for event, webhooks in relayed:
        with (
            as_request(event.request_id),
            spans.part_of_request("relay event", kind="CONSUMER", started_at=started_at) as span,
        ):
            span.describe(message_id=event.uuid, webhooks=webhooks)
            logger.info("event relayed", extra={"message_id": event.uuid, "webhooks": webhooks})
    return fresh


def _events_after(position: int) -> QuerySet[Event]:
    return Event.objects.filter(id__gt=position).order_by("id")[:EVENTS_AT_ONCE]


def _skip(events: list[tuple[int, int]], *, position: int) -> bool:
    """Move the position past events, as (id, owner id), if their owners have no webhooks and no id is missing.

    Most users have none, and a pass would lock SQLite's file against all writers. Return False, and change nothing, if
    the events need a pass or another relay has moved the position.
    """
    missing = missing_ranges(after=position, present=(number for number, _ in events))
    if missing or _listeners({owner_id for _, owner_id in events}):
        return False
    moved = Position.objects.filter(id=_POSITION_ID, event_id=position).update(event_id=events[-1][0])
    # If a driver reports -1, a pass finds that the position has moved.
    return moved == 1


@retries_deadlocks
def _relay() -> tuple[int, list[tuple[Event, int]]]:
    """Do one pass; return the number of new events, and the events that have deliveries, each with their number."""
    now = timezone.now()
    with transaction.atomic():
        # An UPDATE locks the row on every engine. Locking in a SELECT is only a hint, which not every server honours.
        Position.objects.filter(id=_POSITION_ID).update(event_id=F("event_id"))
        position = Position.objects.get(id=_POSITION_ID).event_id
        # Read the highest ids first, and each lower range in a later statement: a pass that sees an event of a task
        # then also sees the task's earlier events.
        fresh = list(_events_after(position))
        gaps = list(Gap.objects.order_by("-first_id"))
        late = [event for chunk in _chunks(gaps) for event in _events_in(chunk)]
        events = [*late, *fresh]
        deliveries = _create_deliveries(events, now=now)
        _update_gaps(gaps, late=late, now=now)
        if fresh:
            _open_gaps(position, fresh=fresh, now=now)
            Position.objects.filter(id=_POSITION_ID).update(event_id=fresh[-1].id)
    webhooks = Counter(delivery.event_id for delivery in deliveries)
    return len(fresh), [(event, webhooks[event.id]) for event in events if event.id in webhooks]


def _chunks(gaps: list[Gap]) -> Iterator[list[Gap]]:
    for start in range(0, len(gaps), GAPS_AT_ONCE):
        yield gaps[start : start + GAPS_AT_ONCE]


def _events_in(gaps: list[Gap]) -> Iterable[Event]:
    ranges = Q()
    for gap in gaps:
        ranges |= Q(id__gte=gap.first_id, id__lte=gap.last_id)
    return Event.objects.filter(ranges)


def _create_deliveries(events: list[Event], *, now: datetime.datetime) -> list[Delivery]:
    endpoints = _listeners({event.owner_id for event in events})
    deliveries = [
        Delivery(
            endpoint=endpoint,
            message_id=event.uuid,
            type=event.type,
            event_id=event.id,
            task_id=event.task_id,
            due_at=now,
            attempted_at=now,
            created_at=now,
        )
        for event in sorted(events, key=lambda event: event.id)
        for endpoint in endpoints.get(event.owner_id, ())
        if event.type in endpoint.events.split(",")
    ]
    wake_endpoints({delivery.endpoint_id for delivery in deliveries}, now=now)
    return Delivery.objects.bulk_create(deliveries)


def _listeners(owner_ids: set[int]) -> dict[int, list[Endpoint]]:
    """Return the enabled endpoints of these owners, by owner id."""
    listeners: dict[int, list[Endpoint]] = {}
    for endpoint in Endpoint.objects.filter(owner_id__in=owner_ids, enabled=True, slot__gte=0):
        listeners.setdefault(endpoint.owner_id, []).append(endpoint)
    return listeners


def wake_endpoints(endpoint_ids: set[int], *, now: datetime.datetime) -> None:
    """Mark these endpoints as due now.

    Call this before writing their deliveries: a sender process that releases an endpoint then waits for the commit, and
    sees the new deliveries.
    """
    if endpoint_ids:
        Endpoint.objects.filter(id__in=endpoint_ids, due_at__gt=now).update(due_at=now)


def _update_gaps(gaps: list[Gap], *, late: list[Event], now: datetime.datetime) -> None:
    """Remove the ids from the gaps that have appeared, and the gaps that are too old for their ids to appear."""
    ids = sorted(event.id for event in late)
    for gap in gaps:
        present = [number for number in ids if gap.first_id <= number <= gap.last_id]
        if present:
            rest = remaining_ranges((gap.first_id, gap.last_id), present=present)
            Gap.objects.bulk_create(Gap(first_id=first, last_id=last, seen_at=gap.seen_at) for first, last in rest)
        elif gap.seen_at > now - GAP_KEPT:
            continue
        else:
            logger.info("event ids given up", extra={"first_id": gap.first_id, "last_id": gap.last_id})
        gap.delete()


def _open_gaps(position: int, *, fresh: list[Event], now: datetime.datetime) -> None:
    ranges = missing_ranges(after=position, present=(event.id for event in fresh))
    Gap.objects.bulk_create(Gap(first_id=first, last_id=last, seen_at=now) for first, last in ranges)
