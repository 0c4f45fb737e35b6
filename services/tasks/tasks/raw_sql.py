"""Retrieve, create, rename and delete tasks with raw SQL, whose text is constant.

Values are always bound, the owner is always in the WHERE clause, the columns are always named. A statement that changes
a row also returns it, by OUTPUT on SQL Server and RETURNING on SQLite, so no change needs a read first, and row counts
are not relied on (drivers may report -1).

Each change writes its event in the same transaction, as a batch of two statements. On SQL Server that is one round
trip; DELETE is a single statement there, which writes the event by OUTPUT … INTO. XACT_ABORT rolls the batch back on
any error, including a cancelled query, which otherwise leaves its transaction open. SQL Server restores both options
after a batch with parameters; the last line is for compatible servers, which do not.

https://learn.microsoft.com/en-us/sql/t-sql/queries/output-clause-transact-sql · https://sqlite.org/lang_returning.html
https://learn.microsoft.com/en-us/sql/t-sql/statements/set-xact-abort-transact-sql
"""

import datetime
import random
from functools import cache
from typing import Any, Final, NamedTuple

from django.db import connection

from servicekit.database.sqlite.base import Batch
from servicekit.process.context import request_id
from tasks import prepared
from tasks.models import new_version

# Matches any version; the versions of tasks start at 1. Not NULL, whose type a driver would have to query.
ANY_VERSION: Final = 0

RETRIEVE: Final = """
SELECT id, title, duration, version, created_at, updated_at
FROM tasks_task
WHERE id = %s AND owner_id = %s
"""

# By the database's vendor, as Django names it.
CREATE: Final = {
    "microsoft": """
SET NOCOUNT ON; SET XACT_ABORT ON;
BEGIN TRANSACTION;
INSERT INTO tasks_task (owner_id, title, duration, version, created_at, updated_at)
OUTPUT inserted.id
VALUES (%s, %s, %s, %s, %s, %s);
DECLARE @id bigint = SCOPE_IDENTITY();
INSERT INTO tasks_event (
    uuid, type, owner_id, task_id, version, title, duration, task_created_at, task_updated_at, request_id, created_at
)
SELECT %s, N'task.created', owner_id, id, version, title, duration, created_at, updated_at, %s, created_at
FROM tasks_task
WHERE id = @id;
COMMIT;
SET XACT_ABORT OFF; SET NOCOUNT OFF;
""",
    "sqlite": Batch("""
INSERT INTO tasks_task (owner_id, title, duration, version, created_at, updated_at)
VALUES (%s, %s, %s, %s, %s, %s)
RETURNING id;
INSERT INTO tasks_event (
    uuid, type, owner_id, task_id, version, title, duration, task_created_at, task_updated_at, request_id, created_at
)
SELECT %s, 'task.created', owner_id, id, version, title, duration, created_at, updated_at, %s, created_at
FROM tasks_task
WHERE id = last_insert_rowid();
"""),
}

# The event's SELECT finds the row, which this batch has changed and locked, by its new version.
RENAME: Final = {
    "microsoft": """
SET NOCOUNT ON; SET XACT_ABORT ON;
BEGIN TRANSACTION;
UPDATE tasks_task
SET title = %s, updated_at = %s, version = %s
OUTPUT inserted.id, inserted.title, inserted.duration, inserted.version, inserted.created_at, inserted.updated_at
WHERE id = %s AND owner_id = %s AND %s IN (version, 0);
INSERT INTO tasks_event (
    uuid, type, owner_id, task_id, version, title, duration, task_created_at, task_updated_at, request_id, created_at
)
SELECT %s, N'task.renamed', owner_id, id, version, title, duration, created_at, updated_at, %s, updated_at
FROM tasks_task
WHERE id = %s AND owner_id = %s AND version = %s;
COMMIT;
SET XACT_ABORT OFF; SET NOCOUNT OFF;
""",
    "sqlite": Batch("""
UPDATE tasks_task
SET title = %s, updated_at = %s, version = %s
WHERE id = %s AND owner_id = %s AND %s IN (version, 0)
RETURNING id, title, duration, version, created_at, updated_at;
INSERT INTO tasks_event (
    uuid, type, owner_id, task_id, version, title, duration, task_created_at, task_updated_at, request_id, created_at
)
SELECT %s, 'task.renamed', owner_id, id, version, title, duration, created_at, updated_at, %s, updated_at
FROM tasks_task
WHERE id = %s AND owner_id = %s AND version = %s;
"""),
}

DELETE: Final = {
    "microsoft": """
SET NOCOUNT ON;
DELETE FROM tasks_task
OUTPUT
    %s, N'task.deleted', deleted.owner_id, deleted.id, deleted.version, deleted.title, deleted.duration,
    deleted.created_at, deleted.updated_at, %s, %s
INTO tasks_event (
    uuid, type, owner_id, task_id, version, title, duration, task_created_at, task_updated_at, request_id, created_at
)
WHERE id = %s AND owner_id = %s AND %s IN (version, 0);
SELECT 1 WHERE @@ROWCOUNT > 0;
""",
    "sqlite": Batch("""
INSERT INTO tasks_event (
    uuid, type, owner_id, task_id, version, title, duration, task_created_at, task_updated_at, request_id, created_at
)
SELECT %s, 'task.deleted', owner_id, id, version, title, duration, created_at, updated_at, %s, %s
FROM tasks_task
WHERE id = %s AND owner_id = %s AND %s IN (version, 0);
DELETE FROM tasks_task
WHERE id = %s AND owner_id = %s AND %s IN (version, 0)
RETURNING 1;
"""),
}


class TaskRow(NamedTuple):
    """A task as the statements return it; the times are aware, in UTC."""

    id: int
    title: str
    duration: int
    version: int
    created_at: datetime.datetime
    updated_at: datetime.datetime


def retrieve(*, task_id: int, owner_id: int) -> TaskRow | None:
    """Return the owner's task; None if none has this id or it belongs to another user."""
    row = _first(RETRIEVE, [task_id, owner_id], repeatable=True)
    return None if row is None else _task(row)


def fetch(sql: str, parameters: list[Any], *, limit: int) -> tuple[list[TaskRow], bool]:
    """Return the first ``limit`` tasks of a SELECT of TaskRow's columns, and whether it found more."""
    rows = _rows(sql, parameters, repeatable=True)
    return [_task(row) for row in rows[:limit]], len(rows) > limit


def create(*, owner_id: int, title: str, duration: int, now: datetime.datetime) -> TaskRow:
    """Store a task and its event, and return the task."""
    at, version = _bound(now), new_version()
    row = _first(CREATE[vendor()], [owner_id, title, duration, version, at, at, _event_id(), request_id()])
    if row is None:
        raise LookupError("an INSERT returned no row")
    return TaskRow(row[0], title, duration, version, now, now)


def rename(
    *, task_id: int, owner_id: int, title: str, now: datetime.datetime, version: int = ANY_VERSION
) -> TaskRow | None:
    """Set the title, write the event, and return the changed task.

    Return None and change nothing if the owner has no such task or it is not at ``version``, if given.
    """
    new = new_version()
    change = [title, _bound(now), new, task_id, owner_id, version]
    row = _first(RENAME[vendor()], [*change, _event_id(), request_id(), task_id, owner_id, new])
    return None if row is None else _task(row)


def delete(*, task_id: int, owner_id: int, now: datetime.datetime, version: int = ANY_VERSION) -> bool:
    """Delete the owner's task (at ``version``, if given) and write the event; return False if there was none."""
    which = [task_id, owner_id, version]
    # On SQLite, both statements say which.
    again = which if vendor() == "sqlite" else []
    return _first(DELETE[vendor()], [_event_id(), request_id(), _bound(now), *which, *again]) is not None


@cache
def vendor() -> str:
    """Return the database's vendor, as Django names it."""
    return connection.vendor


def _event_id() -> str:
    # Not a secret, like a task's version, so no system call.
    return f"{random.getrandbits(128):032x}"


def _bound(time: datetime.datetime) -> Any:
    if vendor() == "sqlite":
        # As adapt_datetimefield_value() does, in a fifth of the time.
        return str(time.astimezone(datetime.UTC).replace(tzinfo=None))
    return connection.ops.adapt_datetimefield_value(time)


def _first(sql: str, parameters: list[Any], *, repeatable: bool = False) -> tuple[Any, ...] | None:
    rows = _rows(sql, parameters, repeatable=repeatable)
    return rows[0] if rows else None


def _rows(sql: str, parameters: list[Any], *, repeatable: bool = False) -> list[tuple[Any, ...]]:
    if vendor() == "microsoft":
        return prepared.execute(sql, parameters, repeatable=repeatable)
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        # Fetch all rows: SQLite completes, and so commits, a statement when its last row has been read.
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _task(row: tuple[Any, ...]) -> TaskRow:
    task_id, title, duration, version, created_at, updated_at = row
    return TaskRow(task_id, title, duration, version, _utc(created_at), _utc(updated_at))


def _utc(value: datetime.datetime | str) -> datetime.datetime:
    """Return an aware time: SQLite has no time type; RETURNING yields text, and SELECT may yield a naive time."""
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)
