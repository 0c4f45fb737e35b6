"""The backend's DatabaseWrapper, in the module where Django looks for it."""

import datetime
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base

# How long a writer waits for the lock while another one in its process is already waiting: longer than a burst of
# writes takes on a busy machine. When a lock is held for long, reads may wait this long at first.
SHORT_WAIT_SECONDS = 2.0


# The first and the longest pause between two attempts; each is twice the previous one. A request holds the lock for a
# tenth of a millisecond, and SQLite itself would pause for 1, 2, 5 … 100 ms.
PAUSES_SECONDS = (0.0001, 0.0064)


class _Queue:
    """The writers of this process that wait for the lock, of which only one may wait for the whole timeout.

    A waiting writer occupies a thread. If all threads waited for a lock held for long, reads would wait too, although
    they need no lock.
    """

    def __init__(self) -> None:
        self._first = threading.Lock()
        # When the first writer started to wait; infinity if none is waiting.
        self._since = math.inf

    @contextmanager
    def place(self, timeout: float) -> Iterator[float]:
        """Yield a writer's deadline: the timeout for the first, else SHORT_WAIT_SECONDS after the first's start."""
        if not self._first.acquire(blocking=False):
            yield min(self._since, time.monotonic()) + SHORT_WAIT_SECONDS
            return
        try:
            self._since = time.monotonic()
            yield self._since + timeout
        finally:
            self._since = math.inf
            self._first.release()


_queue = _Queue()


class Batch(str):
    """Several statements, each ended by a semicolon, that a cursor executes in one transaction, by one call.

    SQL Server accepts such a text itself; SQLite's driver does not. One of the statements may return rows, which only
    ``fetchall()`` reads. The text may contain no other semicolon.
    """

    __slots__ = ("_counts", "statements")
    statements: list[str]
    _counts: list[int]

    def __new__(cls, text: str) -> "Batch":
        batch = super().__new__(cls, text)
        batch.statements = [statement for statement in text.split(";") if statement.strip()]
        batch._counts = [len(base.FORMAT_QMARK_REGEX.findall(statement)) for statement in batch.statements]
        return batch

    def with_parameters(self, params: Sequence[Any]) -> list[tuple[str, Sequence[Any]]]:
        """Return each statement with its parameters; raises ProgrammingError if there are too many or too few."""
        if len(params) != sum(self._counts):
            raise sqlite3.ProgrammingError(f"the batch has {sum(self._counts)} parameters, but got {len(params)}")
        ends = accumulate(self._counts)
        return [
            (statement, params[end - count : end])
            for statement, count, end in zip(self.statements, self._counts, ends, strict=True)
        ]


class _Cursor(base.SQLiteCursorWrapper):
    """Django's cursor, except that it waits for the write lock, executes batches and caches converted placeholders."""

    # DatabaseWrapper.create_cursor sets these two.
    timeout = 0.0
    database: "DatabaseWrapper"
    # The rows of a batch, until they are fetched.
    _rows: list[Any] | None = None

    def execute(self, query: str, params: Any = None) -> Any:
        self._rows = None
        if isinstance(query, Batch):
            return self._execute_batch(query.with_parameters(params or ()))
        try:
            return super().execute(query, params)
        except sqlite3.OperationalError as error:
            # Inside a transaction, waiting would not help.
            if not _is_busy(error) or self.connection.in_transaction:
                raise
        return self._execute_when_unlocked(query, params)

    def fetchall(self) -> list[Any]:
        """Return the remaining rows, of a batch all."""
        rows, self._rows = self._rows, None
        return super().fetchall() if rows is None else rows

    def _execute_batch(self, statements: list[tuple[str, Sequence[Any]]]) -> "_Cursor":
        if self.database.in_atomic_block:
            return self._execute_each(statements)
        try:
            self.execute("BEGIN IMMEDIATE")
            self._execute_each(statements)
            self.connection.commit()
        except BaseException:
            self._roll_back()
            raise
        return self

    def _execute_each(self, statements: list[tuple[str, Sequence[Any]]]) -> "_Cursor":
        for statement, params in statements:
            super().execute(statement, params)
            if self.description is not None:
                self._rows = super().fetchall()
        return self

    def _roll_back(self) -> None:
        try:
            self.connection.rollback()
        except sqlite3.Error:
            # Closing rolls back, if no statement is left open; an open transaction would hold the write lock.
            self.close()
            self.database.close()

    def _execute_when_unlocked(self, query: str, params: Any) -> Any:
        pause, longest = PAUSES_SECONDS
        with _queue.place(self.timeout) as until:
            while True:
                time.sleep(pause)
                try:
                    return super().execute(query, params)
                except sqlite3.OperationalError as error:
                    if not _is_busy(error) or time.monotonic() > until:
                        raise
                pause = min(2 * pause, longest)

    def convert_query(self, query: str, *, param_names: list[str] | None = None) -> str:
        if param_names is None:
            return _with_question_marks(query)
        return str(super().convert_query(query, param_names=param_names))


@lru_cache(maxsize=512)
def _with_question_marks(query: str) -> str:
    return base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


def _time(stored: bytes) -> datetime.datetime:
    """Parse a stored UTC time to an aware datetime; Django itself would parse it and then make it aware."""
    at = datetime.datetime.fromisoformat(stored.decode())
    # A time with an offset was written by another program.
    return at.replace(tzinfo=datetime.UTC) if at.tzinfo is None else at.astimezone(datetime.UTC)


# https://docs.python.org/3/library/sqlite3.html#sqlite3.register_converter
sqlite3.register_converter("datetime", _time)


def _is_busy(error: sqlite3.Error) -> bool:
    """Return whether another connection holds the lock that the statement needs."""
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's wrapper with the changes that the package's docstring describes."""

    # A process that serves requests or runs jobs sets this to False: a file that was moved must not be replaced by an
    # empty one, in which writes would succeed.
    may_create = True

    # Device and inode of the file that the connection has open.
    _opened: tuple[int, int] | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if not self.may_create and not self.is_in_memory_db():
            # https://sqlite.org/uri.html
            conn_params = {**conn_params, "database": f"{Path(conn_params['database']).as_uri()}?mode=rw"}
        connection = super().get_new_connection(conn_params)
        # Some file systems do not support WAL, and without it a commit would have to wait for readers.
        if connection.execute("PRAGMA journal_mode").fetchone()[0] not in ("wal", "memory"):
            connection.close()
            raise sqlite3.OperationalError("the file system does not allow a write-ahead log (WAL)")
        # The cursors wait (https://sqlite.org/pragma.html#pragma_busy_timeout).
        connection.execute("PRAGMA busy_timeout = 0")
        self._opened = self._file()
        return connection

    def cursor(self) -> Any:
        # Django would first check that the connection works, which a file always does, and that no event loop runs.
        if self.connection is None:
            return super().cursor()
        with self.wrap_database_errors:
            return self._prepare_cursor(self.create_cursor())  # type: ignore[attr-defined]  # not in the stubs

    def create_cursor(self, name: str | None = None) -> Any:
        cursor = self.connection.cursor(factory=_Cursor)
        cursor.timeout = self.settings_dict["OPTIONS"].get("timeout", 5)
        cursor.database = self
        return cursor

    def close_if_unusable_or_obsolete(self) -> None:
        """Also close the connection if its file was moved or replaced: writes to it would be lost."""
        if self.connection is not None and self._file() != self._opened:
            self.close()
        else:
            super().close_if_unusable_or_obsolete()

    def _file(self) -> tuple[int, int] | None:
        """Return device and inode of the file at the path; None if it is missing, or the database is in memory."""
        try:
            found = os.stat(self.settings_dict["NAME"])  # noqa: PTH116 - a tenth of Path's time, at each request
        except OSError:
            return None
        return found.st_dev, found.st_ino
