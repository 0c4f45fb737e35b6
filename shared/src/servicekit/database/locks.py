"""A lock on the database that the services share, for what they may all start at once and one at a time must do."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.core.files import locks
from django.db.backends.base.base import BaseDatabaseWrapper

WAIT_SECONDS = 120

# Belongs to the session: the server frees it when the connection ends, however that comes about. 0 and 1 mean granted.
# https://learn.microsoft.com/en-us/sql/relational-databases/system-stored-procedures/sp-getapplock-transact-sql
_GET_LOCK = f"""
SET NOCOUNT ON;
DECLARE @granted int;
EXEC @granted = sp_getapplock
    @Resource = 'servicekit', @LockMode = 'Exclusive', @LockOwner = 'Session', @LockTimeout = {WAIT_SECONDS * 1000};
SELECT @granted;
"""


class LockTimeout(Exception):
    """Another process has held the lock for all of WAIT_SECONDS."""


@contextmanager
def one_at_a_time(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Waits until no other process is in such a block on the connection's database; raises LockTimeout.

    On SQL Server the lock has a connection of its own: the caller may close and open the given one, and its
    transactions and its query timeout do not touch the lock.
    """
    if connection.vendor == "sqlite":
        with _locked_file(connection):
            yield
        return
    own = connection.copy()
    # The wait may take longer than a query is given, and is limited by the statement itself.
    own.settings_dict["OPTIONS"]["query_timeout"] = 0
    with closing(own):
        with own.cursor() as cursor:
            cursor.execute(_GET_LOCK)
            # A compatible server reports a wait by results without rows before ours.
            while cursor.description is None and cursor.nextset():
                pass
            (granted,) = cursor.fetchone()
        if granted < 0:
            raise LockTimeout
        yield


@contextmanager
def _locked_file(connection: Any) -> Iterator[None]:
    """Not a lock in SQLite: there it would keep out the statements that it is to protect."""
    if connection.is_in_memory_db():
        yield
        return
    path = Path(f"{connection.settings_dict['NAME']}.lock")
    with path.open("w") as file:
        locks.lock(file, locks.LOCK_EX)
        yield
