"""Sessions that ended before their access tokens expire, known to every process within about a second.

Redis holds them in a sorted set, scored by the time when the session's last access token expires. Auth fills the set
from its own table, and again if Redis loses it. Each process that verifies tokens renews its copy every second in a
separate thread, so a request only searches a set in memory and never waits for Redis. While Redis is unavailable, the
last copy stays in use, and access tokens of sessions that end meanwhile stay valid for at most their five minutes.
"""

import logging
import os
import threading
import time
from collections.abc import Mapping
from typing import cast

from servicekit.metrics import Gauge
from servicekit.process.redis_client import connect
from servicekit.process.redis_library import redis
from servicekit.tokens.verifier import LEEWAY_SECONDS

RENEW_SECONDS = 1.0
# A process that has just started has no copy; its first request waits this long for one, then continues without it.
FIRST_COPY_SECONDS = 0.5

_KEY = "task-api:ended-sessions"

logger = logging.getLogger("servicekit.tokens.revocation")

COPIED_AT = Gauge(
    "ended_sessions_copied_timestamp_seconds",
    "When the oldest copy of the ended sessions that a process uses was made, in Unix time.",
    multiprocess_mode="livemin",
)


def announce_ended_sessions(client: "redis.Redis", sessions: Mapping[str, float]) -> None:
    """Make every service refuse the access tokens of these sessions; raises redis.RedisError.

    ``sessions`` maps each session's id to the time (by time.time()) when its last access token expires.
    """
    with client.pipeline(transaction=True) as pipeline:
        pipeline.zadd(_KEY, dict(sessions))
        # Clocks may differ: a token that has just expired here may be valid elsewhere.
        pipeline.zremrangebyscore(_KEY, "-inf", time.time() - LEEWAY_SECONDS)
        pipeline.execute()


def announced_sessions(client: "redis.Redis") -> frozenset[str]:
    """Return the ids of the ended sessions in Redis; raises redis.RedisError."""
    return frozenset(cast(list[str], client.zrangebyscore(_KEY, time.time(), "+inf")))


def is_ended(session_id: str) -> bool:
    """Return whether the session has ended according to this process's copy; costs one lookup in a set."""
    return session_id in _copy_of_this_process().session_ids


class _Copy:
    """A copy of the set, usually no older than about a second."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.session_ids: frozenset[str] = frozenset()
        self._first = threading.Event()
        threading.Thread(target=self._renew_forever, name="ended-sessions", daemon=True).start()
        self._first.wait(FIRST_COPY_SECONDS)

    def _renew_forever(self) -> None:
        client = connect()
        pause = threading.Event()
        unavailable = False
        while True:
            try:
                self.session_ids = announced_sessions(client)
            except redis.RedisError as error:
                if not unavailable:
                    logger.warning("ended sessions unknown", extra={"error": type(error).__name__})
                unavailable = True
            except Exception:
                # A bug of ours, or an invalid set. Without this thread no session would ever be refused again.
                logger.exception("ended sessions unreadable")
            else:
                COPIED_AT.set(time.time())
                self._first.set()
                if unavailable:
                    logger.info("ended sessions known again")
                unavailable = False
            pause.wait(RENEW_SECONDS)


_copy: _Copy | None = None
_copy_lock = threading.Lock()


def _copy_of_this_process() -> _Copy:
    """Return the copy, created at the first request, not at import: threads do not survive the fork into a worker."""
    global _copy
    if _copy is None or _copy.process != os.getpid():
        with _copy_lock:
            if _copy is None or _copy.process != os.getpid():
                _copy = _Copy()
    return _copy
