"""Log database outages: a line at the start, one per minute, and one at the end."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

REMIND_SECONDS = 60.0

logger = logging.getLogger("servicekit.http.errors")


@dataclass(slots=True)
class _Outage:
    since: float  # In the clock's seconds, like ``last``.
    last: float
    refused: int = 1


class Outages:
    """The database outages of this process: of reads, and of writes, which a full disk or a locked file also prevents.

    A request that gets a 503 is part of an outage, and a request of the same kind that succeeds ends it.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._outages: dict[str, _Outage] = {}
        self._lock = threading.Lock()

    def refused(self, method: str, error: Exception) -> None:
        """Count a refused request, and log the first of an outage with its traceback."""
        kind, now = _kind(method), self._clock()
        with self._lock:
            outage = self._outages.get(kind)
            if outage is None:
                self._outages[kind] = _Outage(since=now, last=now)
            else:
                outage.refused += 1
                if now - outage.last < REMIND_SECONDS:
                    return
                outage.last = now
        if outage is None:
            logger.error("database unavailable", exc_info=error, extra={"requests": kind})
        else:
            logger.error("database still unavailable", extra=_figures(kind, outage, now))

    def succeeded(self, method: str) -> None:
        """Log the end of the outage of this kind of request, if there was one."""
        # Read without the lock: usually there is no outage, and the next request checks again.
        if not self._outages:
            return
        kind = _kind(method)
        with self._lock:
            outage = self._outages.pop(kind, None)
        if outage is not None:
            logger.info("database available again", extra=_figures(kind, outage, self._clock()))

    def forget(self) -> None:
        """Reset to no outage, as in a new process."""
        with self._lock:
            self._outages.clear()


outages = Outages()


def _kind(method: str) -> str:
    return "reads" if method in ("GET", "HEAD") else "writes"


def _figures(kind: str, outage: _Outage, now: float) -> dict[str, object]:
    return {"requests": kind, "refused": outage.refused, "seconds": round(now - outage.since, 1)}
