"""Where Django looks for the backend's wrapper."""

import os
import threading
import time
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base

# How long a further writer waits for the lock while another one of its process waits as well: longer than a crowd's
# writes take on a busy machine. At the beginning of a long lock, reads may wait for as long.
SHORT_WAIT_SECONDS = 2.0


class _Queue:
    """The writer of this process that waits for as long as the connection's timeout; the others must not.

    A writer that waits holds a thread. If all of them wait for a lock that somebody keeps, reads wait as well, although
    they need no lock.
    """

    def __init__(self) -> None:
        self._first = threading.Lock()
        self._since = 0.0

    def enter(self) -> bool:
        """Return whether this writer is the one that may wait long; it must call leave."""
        entered = self._first.acquire(blocking=False)
        if entered:
            self._since = time.monotonic()
        return entered

    def leave(self) -> None:
        self._first.release()

    def short_wait(self) -> float:
        """Return for how many seconds another writer may wait: not at all once the first has waited for so long."""
        return max(0.0, self._since + SHORT_WAIT_SECONDS - time.monotonic())


_queue = _Queue()


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with the two changes that the package's docstring names."""

    # A process that serves requests or runs jobs sets this to False: a file that was moved away must not be replaced by
    # an empty one, in which writes would succeed.
    may_create = True

    # Which file the connection has open.
    _opened: tuple[int, int] | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if not self.may_create and not self.is_in_memory_db():
            # https://sqlite.org/uri.html
            conn_params = {**conn_params, "database": f"{Path(conn_params['database']).as_uri()}?mode=rw"}
        connection = super().get_new_connection(conn_params)
        self._opened = self._file()
        return connection

    def close_if_unusable_or_obsolete(self) -> None:
        """Close the connection also where its file was moved away or replaced: what is written there would be lost."""
        if self.connection is not None and self._file() != self._opened:
            self.close()
        else:
            super().close_if_unusable_or_obsolete()

    def _file(self) -> tuple[int, int] | None:
        """The file that is at the path now, by device and number; None where there is none, or it is memory."""
        try:
            found = os.stat(self.settings_dict["NAME"])  # noqa: PTH116 - a tenth of Path's time, at each request
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _start_transaction_under_autocommit(self) -> None:
        if _queue.enter():
            try:
                super()._start_transaction_under_autocommit()  # type: ignore[misc]  # Not in the stubs.
            finally:
                _queue.leave()
            return
        self._set_timeout(_queue.short_wait())
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # Not in the stubs.
        finally:
            self._set_timeout(self.settings_dict["OPTIONS"].get("timeout", 5))

    def _set_timeout(self, seconds: float) -> None:
        # https://sqlite.org/pragma.html#pragma_busy_timeout
        self.connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
