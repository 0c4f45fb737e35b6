"""Connect to Redis outside of Celery, with short timeouts and no retries."""

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from servicekit.process.env import ConfigurationError, require

TIMEOUT_SECONDS = 1.0


def redis_url_from_env() -> str:
    """Return REDIS_URL in redis-py's form; raises ConfigurationError, which never shows the password."""
    url = require("REDIS_URL")
    try:
        # This only parses; it does not connect.
        redis.Redis.from_url(url)
    except ValueError:
        raise ConfigurationError("REDIS_URL", "must be redis://…, rediss://… or unix:///path") from None
    return url


def connect() -> "redis.Redis":
    """Return a client of REDIS_URL that connects on use and returns, or raises redis.RedisError, within a second."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        # The default retries with pauses, for which no caller has the time.
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
