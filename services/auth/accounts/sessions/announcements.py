"""Announcing ended sessions to the other services through Redis (docs/adr/0019-ended-sessions.md).

The table is authoritative. Redis may lose entries by a restart, a flush, a failover, or a write that timed out while it
was frozen, so each process of the service compares the two twice a second and adds the missing entries.
"""

import datetime
import logging
import threading
import time

from django.db import DatabaseError, connection
from django.utils import timezone

from accounts.sessions.models import EndedSession
from servicekit.database.deadlocks import retries_deadlocks
from servicekit.process.redis_client import connect
from servicekit.process.redis_library import redis
from servicekit.tokens.revocation import announce_ended_sessions, announced_sessions

COMPARE_SECONDS = 0.5
REMOVE_SECONDS = 600.0
# How long expired rows are kept: if a clock that ran ahead is set back, their tokens become valid again.
KEPT_FOR = datetime.timedelta(days=1)

logger = logging.getLogger("accounts.sessions")


def announce_missing(client: "redis.Redis") -> None:
    """Announce every ended session that is missing in Redis; raises redis.RedisError."""
    live = EndedSession.objects.filter(expires_at__gt=timezone.now()).values_list("session_id", "expires_at")
    sessions = {str(session_id): expires_at.timestamp() for session_id, expires_at in live}
    if not sessions:
        return
    missing = sessions.keys() - announced_sessions(client)
    if missing:
        announce_ended_sessions(client, {session_id: sessions[session_id] for session_id in missing})


@retries_deadlocks
def remove_expired() -> None:
    """Delete the rows whose tokens expired more than ``KEPT_FOR`` ago."""
    EndedSession.objects.filter(expires_at__lte=timezone.now() - KEPT_FOR).delete()


class Announcer:
    """Announces ended sessions: in a thread if the process serves requests, otherwise when ``announce`` is called."""

    def __init__(self) -> None:
        self._client = connect()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        # The kind of failure that was last logged, while it lasts.
        self._failure = ""
        self._remove_at = 0.0

    def start(self) -> None:
        """Start the thread, which compares periodically."""
        self._thread = threading.Thread(target=self._run, name="announce-ended-sessions", daemon=True)
        self._thread.start()

    def announce(self) -> None:
        """Compare immediately, after a session has ended; if the thread runs, the caller does not wait for Redis."""
        if self._thread is not None:
            self._wake.set()
        else:
            self._compare()

    def _run(self) -> None:
        while True:
            connection.close_if_unusable_or_obsolete()
            self._compare()
            self._wake.wait(COMPARE_SECONDS)
            self._wake.clear()

    def _compare(self) -> None:
        try:
            announce_missing(self._client)
            if time.monotonic() >= self._remove_at:
                remove_expired()
                self._remove_at = time.monotonic() + REMOVE_SECONDS
        except Exception as error:
            # The thread must survive any error.
            failure = "outage" if isinstance(error, redis.RedisError | DatabaseError) else "defect"
            # Log only the first of consecutive failures of the same kind.
            if failure != self._failure:
                extra = {"error": type(error).__name__}
                if failure == "outage":
                    logger.warning("ended sessions not announced", extra=extra)
                else:
                    logger.exception("announcement of ended sessions is broken", extra=extra)
            self._failure = failure
        else:
            if self._failure:
                logger.info("ended sessions announced again")
            self._failure = ""


announcer = Announcer()
