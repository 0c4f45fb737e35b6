"""The one way to Redis outside of Celery: give up soon, and do not try twice."""

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from servicekit.process.env import ConfigurationError, require

TIMEOUT_SECONDS = 1.0


def redis_url_from_env() -> str:
    """REDIS_URL in redis-py's form; raises ConfigurationError, which never shows the password."""
    url = require("REDIS_URL")
    try:
        # Parses, and connects to nothing yet.
        redis.Redis.from_url(url)
    except ValueError:
        raise ConfigurationError("REDIS_URL", "must be redis://…, rediss://… or unix:///path") from None
    return url


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
