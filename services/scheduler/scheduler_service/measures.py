"""What waits, and for how long, as the relay finds it every few seconds.

The numbers are about the database and Redis, and not about a process, so one process measures for all: the relay that
leads. Where it stops, what it found last grows stale, which RELAY_MEASURED_AT tells.
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
    "When the relay last found how much waits, in Unix time.",
    multiprocess_mode="livemostrecent",
)
LAST_TICK_AT = Gauge(
    "job_last_tick_timestamp_seconds",
    "The minute of the last tick that beat sent and a worker took, in Unix time.",
    multiprocess_mode="livemostrecent",
)
QUEUED_RUNS = Gauge("job_runs_queued", "Runs that wait for a worker.", multiprocess_mode="livemostrecent")
OLDEST_RUN = Gauge(
    "job_oldest_queued_run_age_seconds", "Age of the oldest run that waits.", multiprocess_mode="livemostrecent"
)
EVENT_LAG = Gauge(
    "webhook_oldest_unread_event_age_seconds",
    "Age of the oldest event that no deliveries were made of yet.",
    multiprocess_mode="livemostrecent",
)
DUE_ENDPOINTS = Gauge(
    "webhook_endpoints_due", "Endpoints to which something is due.", multiprocess_mode="livemostrecent"
)
OLDEST_DUE = Gauge(
    "webhook_oldest_due_delivery_age_seconds",
    "How long the oldest delivery has been due that no worker has taken.",
    multiprocess_mode="livemostrecent",
)
MESSAGES = Gauge(
    "celery_queue_messages", "Messages that wait in a queue.", ["queue"], multiprocess_mode="livemostrecent"
)
OLDEST_MESSAGE = Gauge(
    "celery_queue_oldest_message_age_seconds",
    "Age of the oldest message that waits in a queue.",
    ["queue"],
    multiprocess_mode="livemostrecent",
)


class Measure:
    """A step of the relay's."""

    def __init__(self) -> None:
        self._redis = connect()
        self._next_at = 0.0

    def __call__(self) -> None:
        """Measure every INTERVAL_SECONDS. Raises what the database raises."""
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
    """Set what the tables tell."""
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
    """Set how many messages wait, and since when the first has; raises redis.RedisError."""
    # Messages are pushed at the left, and taken from the right.
    key = f"{settings.CELERY_BROKER_TRANSPORT_OPTIONS['global_keyprefix']}{queue}"
    MESSAGES.labels(queue).set(client.llen(key))
    OLDEST_MESSAGE.labels(queue).set(_age(cast(Any, client.lindex(key, -1))))


def _age(message: str | None) -> float:
    """Return the age of a message in seconds; 0 for none, and for one that does not tell."""
    if message is None:
        return 0.0
    try:
        return max(0.0, time.time() - float(json.loads(message)["headers"][PUBLISHED_AT]))
    except (ValueError, TypeError, KeyError):
        return 0.0
