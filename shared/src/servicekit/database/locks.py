"""A lock on the shared database, for operations that several services may start but only one may run at a time."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.core.files import locks
from django.db.backends.base.base import BaseDatabaseWrapper

WAIT_SECONDS = 120

# Owned by the session: the server releases it when the connection ends for any reason. 0 and 1 mean granted.
# https://learn.microsoft.com/en-us/sql/relational-databases/system-stored-procedures/sp-getapplock-transact-sql
_GET_LOCK = f"""
SET NOCOUNT ON;
DECLARE @granted int;
EXEC @granted = sp_getapplock
    @Resource = 'servicekit', @LockMode = 'Exclusive', @LockOwner = 'Session', @LockTimeout = {WAIT_SECONDS * 1000};
SELECT @granted;
"""


class LockTimeout(Exception):
    """Another process has held the lock for WAIT_SECONDS."""


@contextmanager
def one_at_a_time(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Wait for the lock on the connection's database, and hold it during the block; raises LockTimeout.

    On SQL Server the lock has its own connection: the caller may close and reopen the given one, whose transactions
    and query timeout do not affect the lock.
    """
    if connection.vendor == "sqlite":
        with _locked_file(connection):
            yield
        return
    own = connection.copy()
    # The wait may exceed the query timeout; the statement itself limits it.
    own.settings_dict["OPTIONS"]["query_timeout"] = 0
    with closing(own):
        with own.cursor() as cursor:
            cursor.execute(_GET_LOCK)
            # While it waits, a compatible server sends results without rows before the real one.
            while cursor.description is None and cursor.nextset():
                pass
            (granted,) = cursor.fetchone()
        if granted < 0:
            raise LockTimeout
        yield


@contextmanager
def _locked_file(connection: Any) -> Iterator[None]:
    """Lock a file beside the database: SQLite's own lock would block the statements that this one protects."""
    if connection.is_in_memory_db():
        yield
        return
    path = Path(f"{connection.settings_dict['NAME']}.lock")
    with path.open("w") as file:
        locks.lock(file, locks.LOCK_EX)
        yield
