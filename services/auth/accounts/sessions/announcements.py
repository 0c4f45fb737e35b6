"""Keep Redis telling the other services which sessions have ended (docs/adr/0019-ended-sessions.md).

Our table is the truth, and Redis may lose what it was told: by a restart, a flush, a failover, or a write that timed
out while it was frozen. So each process of the service compares the two twice a second and adds what is missing.
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
# Expired rows are kept this long, for a clock that ran ahead and is set back: their tokens are valid again then.
KEPT_FOR = datetime.timedelta(days=1)

logger = logging.getLogger("accounts.sessions")


def announce_missing(client: "redis.Redis") -> None:
    """Tell the other services of every ended session that Redis does not know; raises redis.RedisError."""
    live = EndedSession.objects.filter(expires_at__gt=timezone.now()).values_list("session_id", "expires_at")
    sessions = {str(session_id): expires_at.timestamp() for session_id, expires_at in live}
    if not sessions:
        return
    missing = sessions.keys() - announced_sessions(client)
    if missing:
        announce_ended_sessions(client, {session_id: sessions[session_id] for session_id in missing})


@retries_deadlocks
def remove_expired() -> None:
    """Remove the rows of tokens that expired so long ago that no change of the clock makes them valid again."""
    EndedSession.objects.filter(expires_at__lte=timezone.now() - KEPT_FOR).delete()


class Announcer:
    """Compare the table with Redis: in a thread if the process serves requests, otherwise when it is asked to."""

    def __init__(self) -> None:
        self._client = connect()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        # What was logged about a failure that lasts.
        self._failure = ""
        self._remove_at = 0.0

    def start(self) -> None:
        """Compare from now on, without being asked."""
        self._thread = threading.Thread(target=self._run, name="announce-ended-sessions", daemon=True)
        self._thread.start()

    def announce(self) -> None:
        """Compare at once, since a session has ended; where the thread runs, the caller does not wait for Redis."""
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
            # The thread must go on in any case.
            failure = "outage" if isinstance(error, redis.RedisError | DatabaseError) else "defect"
            # The first of several; a defect also where it follows an outage.
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
