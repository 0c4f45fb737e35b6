"""The sender: sends due deliveries from threads of a worker's process.

A receiver that hangs occupies a thread for up to 5 s, but no process: the Celery task waits a quarter of a second, and
then leaves incomplete batches to their threads. So two processes can serve all other receivers while dozens hang.
"""

import datetime
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseLayerError
from django.db import close_old_connections, connection, connections
from django.utils import timezone

from servicekit.metrics import LATENCY_BUCKETS, Histogram
from servicekit.process.context import set_request_id
from servicekit.telemetry import spans
from webhooks.claims import EVENT_EXPIRED, Batch, Message, Outcome, claim_batches, record_batches
from webhooks.http_client import Client, SendError
from webhooks.signing import signed_headers

THREADS = 128
# A track is the part of a batch that one thread sends in order. A batch has at most this many, and at most a sixteenth
# of the free threads, but at least one: endpoints that hang get fewer and fewer threads, which leaves some for others.
TRACKS = 8
SHARE = 16
# Endpoints per claim, which other processes cannot claim at the same time.
ENDPOINTS_AT_ONCE = 8
# The limit for endpoints in flight whose last attempt failed, since each may hang again.
FAILING_AT_ONCE = 8
# How long a Celery task keeps claiming before the process can handle other messages.
SLICE_SECONDS = 1.0
# How long it waits for its batches before it leaves the incomplete ones to their threads.
PATIENCE_SECONDS = 0.25
# A track starts no further request after this time, so that a batch ends well before its claim expires.
TRACK_SECONDS = 2.0

USER_AGENT = "task-api-webhooks/0.1"
INTERNAL_ERROR = "The delivery failed on our side."

logger = logging.getLogger("webhooks.sender")

DURATION = Histogram(
    "webhook_delivery_duration_seconds",
    "Duration of the attempts to deliver a webhook, by outcome.",
    ["outcome"],
    buckets=LATENCY_BUCKETS,
)


def deliver_due() -> int:
    """Send due deliveries for SLICE_SECONDS; return the number of attempts whose outcome was recorded in that time."""
    return _sender().run()


def finish() -> None:
    """Wait for the requests in flight and record their outcomes; takes at most about 7 s."""
    if _sender.cache_info().currsize:
        _sender().close()
        _sender.cache_clear()


@cache
def _sender() -> "Sender":
    """Return the process's sender, created at first use: after the worker has forked its processes."""
    return Sender()


class Sender:
    """The threads of one process, and the batches in flight."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sender")
        # One thread, with its own database connection, records the batches that the Celery task left incomplete.
        self._late = ThreadPoolExecutor(1, thread_name_prefix="late")
        self._lock = threading.Lock()
        self._free = THREADS
        self._failing = 0

    def run(self) -> int:
        """Claim, send and record until nothing is due or the time is up."""
        until = time.monotonic() + SLICE_SECONDS
        recorded = 0
        # Whatever is claimed is also sent and recorded, even if the time is up by then.
        while time.monotonic() < until and (claimed := self._claim()):
            recorded += self._record(claimed)
        return recorded

    def close(self) -> None:
        """Send and record everything that was claimed, and stop the threads."""
        self._pool.shutdown()  # The last tracks pass their batches to the late thread.
        self._late.submit(connections.close_all)
        self._late.shutdown()

    def _claim(self) -> "list[_ActiveBatch]":
        healthy = min(ENDPOINTS_AT_ONCE, self._free)
        failing = min(FAILING_AT_ONCE - self._failing, self._free - healthy)
        if not healthy:
            # Wait instead of returning immediately, so that the next message goes to another process.
            time.sleep(PATIENCE_SECONDS)
            return []
        return [self._start(batch) for batch in claim_batches(healthy=healthy, failing=failing)]

    def _start(self, batch: Batch) -> "_ActiveBatch":
        tracks = split_tracks(batch.messages, count=max(1, min(TRACKS, self._free // SHARE)))
        futures = [self._submit(batch, track) for track in tracks]
        active = _ActiveBatch(batch=batch, tracks=futures)
        self._count(failing=batch.failing)
        return active

    def _submit(self, batch: Batch, track: list[Message]) -> "Future[list[Outcome]]":
        self._count(free=-1)
        future = self._pool.submit(send_track, batch, track)
        future.add_done_callback(lambda _: self._count(free=1))
        return future

    def _record(self, batches: "list[_ActiveBatch]") -> int:
        """Wait for PATIENCE_SECONDS, record the complete batches, and leave the others to the late thread."""
        # Do not wait for failing endpoints, which are likely to time out.
        awaited = [active for active in batches if not active.batch.failing]
        wait([track for active in awaited for track in active.tracks], timeout=PATIENCE_SECONDS)
        complete = [active for active in batches if active.is_complete()]
        for active in batches:
            if active not in complete:
                self._leave(active)
        return self._finish(complete)

    def _leave(self, active: "_ActiveBatch") -> None:
        """Have the late thread record the batch as soon as its last track ends."""
        countdown = _Countdown(len(active.tracks), lambda: self._late.submit(self._record_late, active))
        for track in active.tracks:
            track.add_done_callback(countdown.count)

    def _record_late(self, active: "_ActiveBatch") -> None:
        close_old_connections()
        try:
            self._finish([active])
        # No caller waits for this thread's result. The claim expires, and the batch is sent again.
        except DatabaseLayerError:
            logger.exception("deliveries not recorded", extra={"webhook": active.batch.endpoint_id})
            connection.close()

    def _finish(self, batches: "list[_ActiveBatch]") -> int:
        for active in batches:
            self._count(failing=-active.batch.failing)
        results = [(active.batch, active.outcomes()) for active in batches]
        if results:
            record_batches(results)
        return sum(len(outcomes) for _, outcomes in results)

    def _count(self, *, free: int = 0, failing: int = 0) -> None:
        with self._lock:
            self._free += free
            self._failing += failing


class _Countdown:
    """A counter that calls ``then`` when ``count`` has been called ``calls`` times."""

    def __init__(self, calls: int, then: Callable[[], object]) -> None:
        self._lock = threading.Lock()
        self._left = calls
        self._then = then

    def count(self, _: object) -> None:
        with self._lock:
            self._left -= 1
            is_last = self._left == 0
        if is_last:
            self._then()


@dataclass(frozen=True, kw_only=True, eq=False)
class _ActiveBatch:
    """A batch in flight, with a future for each of its tracks."""

    batch: Batch
    tracks: "list[Future[list[Outcome]]]"

    def is_complete(self) -> bool:
        return all(track.done() for track in self.tracks)

    def outcomes(self) -> list[Outcome]:
        return [outcome for track in self.tracks for outcome in track.result()]


def split_tracks(messages: Sequence[Message], *, count: int) -> list[list[Message]]:
    """Distribute the messages to at most ``count`` tracks; those about one task go to the same track, in order."""
    tracks: list[list[Message]] = [[] for _ in range(count)]
    numbers: dict[int, int] = {}
    for message in messages:
        # Pings are about no task, so each may go to any track.
        key = message.task_id or -message.delivery_id
        tracks[numbers.setdefault(key, len(numbers)) % count].append(message)
    return [track for track in tracks if track]


def send_track(batch: Batch, messages: Sequence[Message]) -> list[Outcome]:
    """Send the messages one after another until one fails or the time is up; return the outcomes."""
    until = time.monotonic() + TRACK_SECONDS
    outcomes = []
    with Client(allow_private=settings.WEBHOOK_ALLOW_PRIVATE_NETWORKS) as client:
        for message in messages:
            outcome = _attempt(client, batch, message)
            outcomes.append(outcome)
            if not (outcome.succeeded or outcome.error == EVENT_EXPIRED) or time.monotonic() >= until:
                break
    return outcomes


def _attempt(client: Client, batch: Batch, message: Message) -> Outcome:
    set_request_id(message.request_id)
    started = time.monotonic()
    now = timezone.now()
    fields = {"error": EVENT_EXPIRED} if message.body is None else _post(client, batch, message, message.body, now=now)
    latency_ms = round((time.monotonic() - started) * 1000)
    outcome = Outcome(delivery_id=message.delivery_id, attempted_at=now, latency_ms=latency_ms, **fields)
    DURATION.labels(_outcome_name(outcome)).observe(latency_ms / 1000)
    logger.info(
        "delivery",
        extra={
            "webhook": batch.endpoint_id,
            "delivery": message.delivery_id,
            "message_id": message.message_id,
            "status": outcome.status or None,
            "error": outcome.error or None,
            "latency_ms": latency_ms,
        },
    )
    return outcome


def _outcome_name(outcome: Outcome) -> str:
    if outcome.succeeded:
        return "delivered"
    if outcome.status:
        return "refused"
    return {EVENT_EXPIRED: "expired", INTERNAL_ERROR: "failed"}.get(outcome.error, "no response")


def _post(client: Client, batch: Batch, message: Message, body: bytes, *, now: datetime.datetime) -> dict[str, Any]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        **signed_headers(
            message_id=message.message_id, timestamp=int(now.timestamp()), body=body, secrets=batch.secrets
        ),
    }
    if message.request_id:
        headers["X-Request-ID"] = message.request_id
    with spans.part_of_request("POST webhook", kind="CLIENT") as span:
        result = _send(client, batch, message, body, headers=headers | span.headers())
        span.describe(http__request__method="POST", webhook=batch.endpoint_id, delivery=message.delivery_id)
        if status := result.get("status"):
            span.describe(http__response__status_code=status)
        if result["error"]:
            span.fail(str(status or "no response"))
    return result


def _send(client: Client, batch: Batch, message: Message, body: bytes, *, headers: dict[str, str]) -> dict[str, Any]:
    try:
        response = client.post(batch.url, body=body, headers=headers)
    except SendError as error:
        return {"error": str(error)}
    # This is the boundary of the attempt: any other exception is a defect, which fails only this attempt.
    except Exception:
        logger.exception("delivery failed", extra={"webhook": batch.endpoint_id, "delivery": message.delivery_id})
        return {"error": INTERNAL_ERROR}
    return {
        "status": response.status,
        "retry_after": response.retry_after,
        "response": response.body,
        "error": "" if 200 <= response.status <= 299 else f"The response's status is {response.status}.",
    }
