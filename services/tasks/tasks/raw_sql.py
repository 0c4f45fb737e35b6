"""The raw SQL of this service, as constants: retrieve, rename and delete, one statement each.

Values are always bound, the owner always stands in the WHERE clause, the columns are always named. A statement that
changes a row also returns it, by OUTPUT on SQL Server and RETURNING on SQLite, so that nothing is read first and then
written, and no row count is trusted (drivers may report -1).

https://learn.microsoft.com/en-us/sql/t-sql/queries/output-clause-transact-sql · https://sqlite.org/lang_returning.html
"""

import datetime
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from tasks.models import new_version

RETRIEVE: Final = """
SELECT id, title, duration, version, created_at, updated_at
FROM tasks_task
WHERE id = %s AND owner_id = %s
"""

# By the database's vendor, as Django names it.
RENAME: Final = {
    "microsoft": """
UPDATE tasks_task
SET title = %s, updated_at = %s, version = %s
OUTPUT inserted.id, inserted.title, inserted.duration, inserted.version, inserted.created_at, inserted.updated_at
WHERE id = %s AND owner_id = %s
""",
    "sqlite": """
UPDATE tasks_task
SET title = %s, updated_at = %s, version = %s
WHERE id = %s AND owner_id = %s
RETURNING id, title, duration, version, created_at, updated_at
""",
}

RENAME_VERSION: Final = {
    "microsoft": """
UPDATE tasks_task
SET title = %s, updated_at = %s, version = %s
OUTPUT inserted.id, inserted.title, inserted.duration, inserted.version, inserted.created_at, inserted.updated_at
WHERE id = %s AND owner_id = %s AND version = %s
""",
    "sqlite": """
UPDATE tasks_task
SET title = %s, updated_at = %s, version = %s
WHERE id = %s AND owner_id = %s AND version = %s
RETURNING id, title, duration, version, created_at, updated_at
""",
}

DELETE: Final = {
    "microsoft": "DELETE FROM tasks_task OUTPUT deleted.id WHERE id = %s AND owner_id = %s",
    "sqlite": "DELETE FROM tasks_task WHERE id = %s AND owner_id = %s RETURNING id",
}

DELETE_VERSION: Final = {
    "microsoft": "DELETE FROM tasks_task OUTPUT deleted.id WHERE id = %s AND owner_id = %s AND version = %s",
    "sqlite": "DELETE FROM tasks_task WHERE id = %s AND owner_id = %s AND version = %s RETURNING id",
}


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as the statements return it; the times are aware, in UTC."""

    id: int
    title: str
    duration: int
    version: int
    created_at: datetime.datetime
    updated_at: datetime.datetime


def retrieve(*, task_id: int, owner_id: int) -> TaskRow | None:
    """The owner's task; None where there is none of this id or it is somebody else's."""
    return _task(_first(RETRIEVE, [task_id, owner_id]))


def rename(
    *, task_id: int, owner_id: int, title: str, now: datetime.datetime, version: int | None = None
) -> TaskRow | None:
    """Sets the title and returns the changed task.

    None, and nothing changed, where the owner has no such task or, with ``version``, where it is no longer at that
    version.
    """
    changes: list[Any] = [title, connection.ops.adapt_datetimefield_value(now), new_version(), task_id, owner_id]
    if version is None:
        return _task(_first(RENAME[connection.vendor], changes))
    return _task(_first(RENAME_VERSION[connection.vendor], [*changes, version]))


def delete(*, task_id: int, owner_id: int, version: int | None = None) -> bool:
    """Deletes the owner's task (at that version, where given); False where there was none to delete."""
    if version is None:
        return _first(DELETE[connection.vendor], [task_id, owner_id]) is not None
    return _first(DELETE_VERSION[connection.vendor], [task_id, owner_id, version]) is not None


def _first(sql: str, parameters: list[Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        # All of them: SQLite ends, and so commits, a statement when its last row is read.
        rows = cursor.fetchall()
    return rows[0] if rows else None


def _task(row: tuple[Any, ...] | None) -> TaskRow | None:
    if row is None:
        return None
    task_id, title, duration, version, created_at, updated_at = row
    return TaskRow(task_id, title, duration, version, _utc(created_at), _utc(updated_at))


def _utc(value: datetime.datetime | str) -> datetime.datetime:
    """SQLite has no type for times: it gives text from RETURNING, and a time without an offset from SELECT."""
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)
