"""Check that the database accepts writes, as distinct from reads."""

import sqlite3
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

# https://learn.microsoft.com/en-us/sql/t-sql/functions/databasepropertyex-transact-sql
_UPDATEABILITY = "SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS nvarchar(128))"


def check_writes(connection: BaseDatabaseWrapper) -> None:
    """Raise django.db.Error if a write would fail: the disk is full, or the file or database is read-only.

    On SQLite this writes a page without waiting for the write lock; a held lock is not a failure. On SQL Server it only
    queries a property, which does not show a full transaction log.
    """
    if connection.vendor == "microsoft":
        with connection.cursor() as cursor:
            cursor.execute(_UPDATEABILITY)
            if cursor.fetchone() == ("READ_ONLY",):
                raise OperationalError("the database is read-only")
    elif connection.vendor == "sqlite":
        _write_a_page(connection)


def _write_a_page(connection: Any) -> None:
    connection.ensure_connection()
    with connection.wrap_database_errors:
        try:
            # A number in the file's header that nothing here reads. Setting it always writes the first page. Our own
            # cursors would wait for the lock.
            connection.connection.execute("PRAGMA user_version = 0")
        except sqlite3.OperationalError as error:
            if not _is_locked(error):
                raise


def _is_locked(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
