"""What /readyz asks beyond the database: Redis, and whether beat's ticks arrive."""

import datetime
from functools import cache

import redis
from django.conf import settings
from django.db import Error as DatabaseLayerError
from django.db import connection
from django.utils import timezone
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs.selectors import last_tick
from servicekit.health import NotReady

TIMEOUT_SECONDS = 1
# A tick each minute, and half a one for what may delay it.
LONGEST_SILENCE = datetime.timedelta(seconds=90)

# Beat and worker start with this process, so their first tick has as much time.
_started_at = timezone.now()


def check_redis() -> None:
    """Raises NotReady when Redis does not answer a ping."""
    try:
        _redis().ping()
    except redis.RedisError as error:
        raise NotReady("does not answer") from error


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        # The default waits between several tries; whoever asks for readiness asks again.
        retry=Retry(NoBackoff(), 0),
    )


def check_beat() -> None:
    """Raises NotReady when the last tick that beat sent and a worker took is too long ago.

    Ask after check_database, which leaves a connection: where it could not, this does not try for another 3 s.
    """
    if connection.connection is None:
        raise NotReady("is unknown without the database")
    try:
        last = last_tick()
    except DatabaseLayerError as error:
        raise NotReady("is unknown without the database") from error
    if timezone.now() - max(last or _started_at, _started_at) > LONGEST_SILENCE:
        raise NotReady(f"has not ticked for {LONGEST_SILENCE.seconds} s")
