"""Metrics of waiting work and its age, which the relay updates every few seconds.

They are about the database and Redis, not about a process, so only the leading relay measures them. If it stops, its
last values become stale, which RELAY_MEASURED_AT shows.
"""

import json
import time
from typing import Any, cast

from django.conf import settings
from django.utils import timezone

from jobs import health as jobs
from jobs.relay import DEPENDENCY_UP
from jobs.selectors import last_tick
from scheduler_service.celery import PUBLISHED_AT
from servicekit.metrics import Gauge
from servicekit.process.redis_client import connect
from servicekit.process.redis_library import redis
from webhooks import health as webhooks

INTERVAL_SECONDS = 5.0
QUEUES = (settings.CELERY_TASK_DEFAULT_QUEUE, *(route["queue"] for route in settings.CELERY_TASK_ROUTES.values()))

RELAY_MEASURED_AT = Gauge(
    "relay_measured_timestamp_seconds",
    "When the relay last measured the waiting work, in Unix time.",
    multiprocess_mode="livemostrecent",
)
LAST_TICK_AT = Gauge(
    "job_last_tick_timestamp_seconds",
    "The minute of the last tick that a worker received from beat, in Unix time.",
    multiprocess_mode="livemostrecent",
)
QUEUED_RUNS = Gauge("job_runs_queued", "Queued runs.", multiprocess_mode="livemostrecent")
OLDEST_RUN = Gauge(
    "job_oldest_queued_run_age_seconds", "Age of the oldest queued run.", multiprocess_mode="livemostrecent"
)
EVENT_LAG = Gauge(
    "webhook_oldest_unread_event_age_seconds",
    "Age of the oldest event for which no deliveries have been created yet.",
    multiprocess_mode="livemostrecent",
)
DUE_ENDPOINTS = Gauge("webhook_endpoints_due", "Endpoints with due deliveries.", multiprocess_mode="livemostrecent")
OLDEST_DUE = Gauge(
    "webhook_oldest_due_delivery_age_seconds",
    "How long the oldest delivery not claimed by the sender has been due.",
    multiprocess_mode="livemostrecent",
)
MESSAGES = Gauge("celery_queue_messages", "Messages waiting in a queue.", ["queue"], multiprocess_mode="livemostrecent")
OLDEST_MESSAGE = Gauge(
    "celery_queue_oldest_message_age_seconds",
    "Age of the oldest message waiting in a queue.",
    ["queue"],
    multiprocess_mode="livemostrecent",
)


class Measure:
    """The relay's step that updates these metrics."""

    def __init__(self) -> None:
        self._redis = connect()
        self._next_at = 0.0

    def __call__(self) -> None:
        """Measure every INTERVAL_SECONDS; raises errors of the database."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + INTERVAL_SECONDS
        measure_database()
        self._measure_redis()
        RELAY_MEASURED_AT.set_to_current_time()

    def _measure_redis(self) -> None:
        try:
            for queue in QUEUES:
                measure_queue(self._redis, queue)
        except redis.RedisError:
            DEPENDENCY_UP.labels("redis").set(0)
        else:
            DEPENDENCY_UP.labels("redis").set(1)


def measure_database() -> None:
    """Set the metrics about the tables."""
    found = jobs.measures() | webhooks.measures()
    QUEUED_RUNS.set(found["queued_runs"] or 0)
    OLDEST_RUN.set(found["oldest_queued_run_seconds"] or 0)
    EVENT_LAG.set(found["oldest_unread_event_seconds"] or 0)
    DUE_ENDPOINTS.set(found["due_webhooks"] or 0)
    OLDEST_DUE.set(found["oldest_due_delivery_seconds"] or 0)
    tick = last_tick(now=timezone.now())
    if tick is not None:
        LAST_TICK_AT.set(tick.timestamp())


def measure_queue(client: "redis.Redis", queue: str) -> None:
    """Set the number of messages in the queue and the age of the oldest; raises redis.RedisError."""
    # Messages are pushed on the left and popped from the right.
    key = f"{settings.CELERY_BROKER_TRANSPORT_OPTIONS['global_keyprefix']}{queue}"
    MESSAGES.labels(queue).set(client.llen(key))
    OLDEST_MESSAGE.labels(queue).set(_age(cast(Any, client.lindex(key, -1))))


def _age(message: str | None) -> float:
    """Return the age of a message in seconds; 0 for None, and for a message without a time of sending."""
    if message is None:
        return 0.0
    try:
        return max(0.0, time.time() - float(json.loads(message)["headers"][PUBLISHED_AT]))
    except (ValueError, TypeError, KeyError):
        return 0.0
