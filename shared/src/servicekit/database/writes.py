"""Whether the database takes writes, apart from whether it answers."""

import sqlite3
from contextlib import closing
from pathlib import Path

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

# https://learn.microsoft.com/en-us/sql/t-sql/functions/databasepropertyex-transact-sql
_UPDATEABILITY = "SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS nvarchar(128))"


def check_writes(connection: BaseDatabaseWrapper) -> None:
    """Raise OperationalError where a write would fail: on a full disk, a file or a database that is read-only.

    On SQLite this writes a page, on a connection of its own that waits for no lock; a write lock that somebody holds is
    no failure. On SQL Server it asks; that a transaction log is full, only a write would tell.
    """
    if connection.vendor == "microsoft":
        with connection.cursor() as cursor:
            cursor.execute(_UPDATEABILITY)
            if cursor.fetchone() == ("READ_ONLY",):
                raise OperationalError("the database is read-only")
    elif connection.vendor == "sqlite" and not connection.is_in_memory_db():  # type: ignore[attr-defined]
        _write_a_page(Path(connection.settings_dict["NAME"]))


def _write_a_page(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)) as own:
            # Nothing is lost with this write.
            own.execute("PRAGMA synchronous = OFF")
            # A number in the file's header, which nothing here reads: its first page is written, whatever it was.
            own.execute("PRAGMA user_version = 0")
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise OperationalError(str(error)) from error
