"""The one way to Redis outside of Celery: give up soon, and do not try twice."""

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_SECONDS = 1.0


def connect() -> "redis.Redis":
    """A client of REDIS_URL that connects when it is used and answers, or raises redis.RedisError, within a second."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        # The default waits between several tries; whoever asks here has something better to do.
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
