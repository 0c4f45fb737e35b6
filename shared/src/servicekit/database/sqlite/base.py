"""The backend's DatabaseWrapper, in the module where Django looks for it."""

import os
import threading
import time
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base

# How long a writer waits for the lock while another one of its process already waits: longer than a burst of writes
# takes on a busy machine. At the beginning of a long lock, reads may wait as long.
SHORT_WAIT_SECONDS = 2.0


class _Queue:
    """The one writer of this process that may wait for the connection's whole timeout.

    A waiting writer occupies a thread. If all threads waited for a lock that is held for long, reads would wait too,
    although they need no lock.
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
        """Return how many seconds another writer may wait: 0 once the first has waited SHORT_WAIT_SECONDS."""
        return max(0.0, self._since + SHORT_WAIT_SECONDS - time.monotonic())


_queue = _Queue()


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's wrapper with the two changes that the package's docstring names."""

    # A process that serves requests or runs jobs sets this to False: a file that was moved must not be replaced by an
    # empty one, in which writes would succeed.
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
        """Also close the connection if its file was moved or replaced: writes to it would be lost."""
        if self.connection is not None and self._file() != self._opened:
            self.close()
        else:
            super().close_if_unusable_or_obsolete()

    def _file(self) -> tuple[int, int] | None:
        """Return device and inode of the file now at the path; None if there is none, or the database is in memory."""
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
