"""Connect to Redis outside of Celery, with short timeouts and no retries."""

from django.conf import settings

from servicekit.process.env import ConfigurationError, require
from servicekit.process.redis_library import redis
from servicekit.process.redis_url import client_of

TIMEOUT_SECONDS = 1.0


def redis_url_from_env() -> str:
    """Return REDIS_URL, in a form of servicekit.process.redis_url; raises ConfigurationError, without the password."""
    url = require("REDIS_URL")
    try:
        # This only parses; it does not connect.
        client_of(url, timeout_seconds=TIMEOUT_SECONDS)
    except ValueError:
        raise ConfigurationError(
            "REDIS_URL", "must be redis://…, rediss://…, unix:///path or redis+sentinel://host,host/master"
        ) from None
    return url


def connect() -> "redis.Redis":
    """Return a client for REDIS_URL that connects on use and returns, or raises redis.RedisError, within a second.

    Each Sentinel that does not respond adds a second, until one does.
    """
    return client_of(settings.REDIS_URL, timeout_seconds=TIMEOUT_SECONDS, decode_responses=True)
