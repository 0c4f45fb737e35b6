"""Claiming endpoints with due deliveries, and recording the outcomes. No transaction is open during a request.

One sender process at a time claims an endpoint, until claimed_until, so the claims of a lost process expire. Only rows
decide; a message to the sender only signals that there may be work.
"""

import datetime
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from servicekit.database.deadlocks import retries_deadlocks
from webhooks.encryption import decrypt
from webhooks.models import DEAD, DELIVERED, EXCERPT_BYTES, FAILING, GONE, NEVER, PENDING, Delivery, Endpoint, Event
from webhooks.payloads import event_body, ping_body
from webhooks.retry import next_attempt

# Longer than a sender process can take to send the deliveries that it has claimed and record the outcomes.
LEASE = datetime.timedelta(seconds=20)
# Deliveries per claim of an endpoint. If its last attempt failed, only one is claimed, as a probe.
DELIVERIES_AT_ONCE = 32
# An endpoint rests for as many seconds as it has failures in a row, up to this: otherwise all its due deliveries would
# be attempted without a pause.
LONGEST_REST_SECONDS = 5
# An endpoint whose attempts have all failed for this long is disabled.
FAILING_LIMIT = datetime.timedelta(days=5)

GONE_STATUS = 410
EVENT_EXPIRED = "The event is no longer kept."
ENDPOINT_DISABLED = "The webhook was disabled."


@dataclass(frozen=True, kw_only=True)
class Message:
    """A delivery, ready to be sent."""

    delivery_id: int
    task_id: int
    message_id: str
    request_id: str
    # None if the event has been deleted.
    body: bytes | None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The messages that the sender has claimed for an endpoint, those about one task in the order of its changes."""

    endpoint_id: int
    claim: str
    url: str
    secrets: tuple[str, ...]
    failing: bool
    messages: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of an attempt. ``status`` is 0 if there was no response, and ``error`` then gives the reason."""

    delivery_id: int
    attempted_at: datetime.datetime
    latency_ms: int
    status: int = 0
    retry_after: str = ""
    error: str = ""
    response: bytes = b""

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status <= 299


def due_endpoints(*, now: datetime.datetime) -> QuerySet[Endpoint]:
    """Return the endpoints that a sender process may claim, the longest due first."""
    # A claim that expires much later than LEASE from now was made by a wrong clock. Allow twice that: another sender's
    # clock may be ahead, and its ``now`` is later if this transaction had to wait for it.
    unclaimed = Q(claimed_until__lte=now) | Q(claimed_until__gt=now + 2 * LEASE)
    return Endpoint.objects.filter(unclaimed, due_at__lte=now, enabled=True, slot__gte=0).order_by("due_at")


def claim_batches(*, healthy: int, failing: int) -> list[Batch]:
    """Claim up to ``healthy`` due endpoints without failures and ``failing`` with failures; return their batches."""
    now = timezone.now()
    due = due_endpoints(now=now).values_list("id", flat=True)
    # Usually nothing is due, so nothing is written or locked.
    if ids := [*due.filter(failures=0)[:healthy], *due.filter(failures__gt=0)[:failing]]:
        return [_make_batch(endpoint, now=now) for endpoint in _claim_endpoints(ids, now=now)]
    return []


@retries_deadlocks
def _claim_endpoints(ids: Sequence[int], *, now: datetime.datetime) -> list[Endpoint]:
    claim = uuid.uuid4().hex
    with transaction.atomic():
        # One statement checks and claims, so only one of two processes gets an endpoint. Do not rely on its row count.
        due_endpoints(now=now).order_by().filter(id__in=ids).update(claim=claim, claimed_until=now + LEASE)
        return list(Endpoint.objects.filter(id__in=ids, claim=claim))


def _make_batch(endpoint: Endpoint, *, now: datetime.datetime) -> Batch:
    count = 1 if endpoint.failures else DELIVERIES_AT_ONCE
    deliveries = list(_next_deliveries(endpoint.id, now=now)[:count])
    events = Event.objects.in_bulk({delivery.event_id for delivery in deliveries if delivery.event_id})
    secrets = [endpoint.secret]
    if endpoint.previous_until > now:
        secrets.append(endpoint.previous_secret)
    return Batch(
        endpoint_id=endpoint.id,
        claim=endpoint.claim,
        url=endpoint.url,
        secrets=tuple(map(decrypt, secrets)),
        failing=endpoint.failures > 0,
        messages=tuple(_make_message(delivery, event=events.get(delivery.event_id)) for delivery in deliveries),
    )


def _next_deliveries(endpoint_id: int, *, now: datetime.datetime) -> QuerySet[Delivery]:
    """Return the due deliveries, except those that wait for an earlier one about the same task."""
    pending = Delivery.objects.filter(endpoint_id=endpoint_id, state=PENDING)
    # Pings have event id 0, so none waits for another.
    earlier = pending.filter(task_id=OuterRef("task_id"), event_id__lt=OuterRef("event_id"), due_at__gt=now)
    return pending.filter(~Exists(earlier), due_at__lte=now).order_by("event_id", "id")


def _make_message(delivery: Delivery, *, event: Event | None) -> Message:
    body = event_body(event) if event is not None else None
    if delivery.event_id == 0:
        body = ping_body(endpoint_id=delivery.endpoint_id, created_at=delivery.created_at)
    return Message(
        delivery_id=delivery.id,
        task_id=delivery.task_id,
        message_id=delivery.message_id,
        request_id=event.request_id if event is not None else "",
        body=body,
    )


@retries_deadlocks
def record_batches(results: Sequence[tuple[Batch, Sequence[Outcome]]]) -> None:
    """Record the outcomes and release the endpoints, except those that another process has since claimed."""
    now = timezone.now()
    with transaction.atomic():
        # In order of id, as in all code that locks several endpoints, to prevent deadlocks.
        for batch, outcomes in sorted(results, key=lambda result: result[0].endpoint_id):
            _record(batch, outcomes, now=now)


def _record(batch: Batch, outcomes: Sequence[Outcome], *, now: datetime.datetime) -> None:
    mine = Endpoint.objects.filter(id=batch.endpoint_id, claim=batch.claim)
    # This locks the row. For deliveries that the reader creates from here on, it wakes the endpoint itself.
    mine.update(claimed_until=now)
    endpoint = mine.first()
    if endpoint is None:
        return
    for outcome in outcomes:
        _record_outcome(outcome, now=now)
    changes = _health_changes(endpoint, outcomes, now=now)
    # If the endpoint is disabled, it is due for housekeeping, which gives up its pending deliveries.
    enabled = changes.get("enabled", endpoint.enabled)
    due_at = _next_due(endpoint) if enabled else now
    rest = min(changes.get("failures", endpoint.failures), LONGEST_REST_SECONDS)
    mine.update(claim="", claimed_until=now + datetime.timedelta(seconds=rest), due_at=due_at, **changes)


def _next_due(endpoint: Endpoint) -> datetime.datetime:
    """Return the earliest due time of the deliveries that do not wait for an earlier one about their task, or NEVER."""
    pending = Delivery.objects.filter(endpoint=endpoint, state=PENDING)
    earlier = pending.filter(task_id=OuterRef("task_id"), event_id__lt=OuterRef("event_id"))
    first = pending.filter(~Exists(earlier)).order_by("due_at").values_list("due_at", flat=True).first()
    return first or NEVER


def _record_outcome(outcome: Outcome, *, now: datetime.datetime) -> None:
    pending = Delivery.objects.filter(id=outcome.delivery_id, state=PENDING)
    delivery = pending.first()
    if delivery is None:
        return
    attempts = delivery.attempts + 1
    state, due_at = _next_state(outcome, attempts=attempts, now=now)
    pending.update(
        state=state,
        due_at=due_at,
        attempts=attempts,
        attempted_at=outcome.attempted_at,
        status=outcome.status,
        latency_ms=outcome.latency_ms,
        error=outcome.error[:200],
        response=_excerpt(outcome.response),
    )


def _next_state(outcome: Outcome, *, attempts: int, now: datetime.datetime) -> tuple[str, datetime.datetime]:
    if outcome.succeeded:
        return DELIVERED, now
    if outcome.status == GONE_STATUS or outcome.error == EVENT_EXPIRED:
        return DEAD, now
    jitter = random.uniform(-1, 1)  # noqa: S311 - guards no secret
    due_at = next_attempt(attempts=attempts, retry_after=outcome.retry_after, now=now, jitter=jitter)
    return (DEAD, now) if due_at is None else (PENDING, due_at)


def _excerpt(body: bytes) -> str:
    """Return the start of the body as printable text, which every database can store and every terminal can display."""
    text = body[:EXCERPT_BYTES].decode(errors="replace")
    return "".join(character if character.isprintable() else " " for character in text)


def _health_changes(endpoint: Endpoint, outcomes: Sequence[Outcome], *, now: datetime.datetime) -> dict[str, Any]:
    """Return the changes to the endpoint: a success resets its failures; a 410 or FAILING_LIMIT disables it."""
    sent = [outcome for outcome in outcomes if outcome.error != EVENT_EXPIRED]
    if any(outcome.status == GONE_STATUS for outcome in sent):
        return {"enabled": False, "disabled_reason": GONE, "updated_at": now}
    if not sent or any(outcome.succeeded for outcome in sent):
        return {"failures": 0} if sent else {}
    since = min(endpoint.failing_since, now) if endpoint.failures else now
    changes: dict[str, Any] = {"failures": endpoint.failures + len(sent), "failing_since": since}
    if now - since >= FAILING_LIMIT:
        changes |= {"enabled": False, "disabled_reason": FAILING, "updated_at": now}
    return changes
