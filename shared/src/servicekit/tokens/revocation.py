"""Sessions that were ended before their access tokens expire, known to every process within about a second.

Auth adds the session to a sorted set in Redis, scored by the time after which no access token of it can be valid. Each
process that verifies tokens keeps a copy, which a thread of its own renews every second: a request looks into a set in
memory and never waits for Redis. Where Redis is away the last copy stays in use, and what was ended meanwhile is
bounded by the tokens' five minutes.
"""

import logging
import os
import threading
import time
from collections.abc import Iterable
from typing import cast

import redis

from servicekit.process.redis_client import connect
from servicekit.tokens.verifier import LEEWAY_SECONDS, LIFETIME_SECONDS

RENEW_SECONDS = 1.0
# A process that has just started has no copy; its first request waits this long for one, and then goes on.
FIRST_COPY_SECONDS = 0.5

_KEY = "auth:ended-sessions"
_LONGEST_SECONDS = LIFETIME_SECONDS["access"] + LEEWAY_SECONDS

logger = logging.getLogger("servicekit.tokens.revocation")


class RevocationUnavailable(Exception):
    """Redis did not take the message; access tokens of the sessions stay valid until they expire."""


def announce_ended_sessions(session_ids: Iterable[str]) -> None:
    """Tells every service to refuse the access tokens of these sessions; raises RevocationUnavailable."""
    now = time.time()
    scores = dict.fromkeys(session_ids, now + _LONGEST_SECONDS)
    if not scores:
        return
    try:
        with connect() as client, client.pipeline(transaction=True) as pipeline:
            pipeline.zadd(_KEY, scores)
            pipeline.zremrangebyscore(_KEY, "-inf", now)
            pipeline.execute()
    except redis.RedisError as error:
        raise RevocationUnavailable from error


def is_ended(session_id: str) -> bool:
    """Whether the session was ended, as far as this process knows; costs a look into a set."""
    return session_id in _copy_of_this_process().session_ids


class _Copy:
    """The set as it was at most about a second ago."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.session_ids: frozenset[str] = frozenset()
        self._first = threading.Event()
        threading.Thread(target=self._renew_for_ever, name="ended-sessions", daemon=True).start()
        self._first.wait(FIRST_COPY_SECONDS)

    def _renew_for_ever(self) -> None:
        client = connect()
        pause = threading.Event()
        away = False
        while True:
            try:
                members = cast(list[str], client.zrangebyscore(_KEY, time.time(), "+inf"))
            except redis.RedisError as error:
                if not away:
                    logger.warning("ended sessions unknown", extra={"error": type(error).__name__})
                away = True
            except Exception:
                # A defect of ours, or in the set. Whatever it is: without this thread nothing would ever be revoked.
                logger.exception("ended sessions unreadable")
            else:
                self.session_ids = frozenset(members)
                self._first.set()
                if away:
                    logger.info("ended sessions known again")
                away = False
            pause.wait(RENEW_SECONDS)


_copy: _Copy | None = None
_copy_lock = threading.Lock()


def _copy_of_this_process() -> _Copy:
    """Made at the first look, not at import: a thread does not survive the fork into a worker."""
    global _copy
    if _copy is None or _copy.process != os.getpid():
        with _copy_lock:
            if _copy is None or _copy.process != os.getpid():
                _copy = _Copy()
    return _copy
