"""Read tasks."""

import datetime
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from servicekit.http.pagination import Cursor, Page
from tasks import raw_sql
from tasks.models import Task
from tasks.raw_sql import TaskRow

COLUMNS = ("id", "title", "duration", "version", "created_at", "updated_at")

# Placeholders for a page's values in the compiled query; all different, and unlike any constant of the query itself.
_OWNER_ID, _BEFORE = -1, Cursor(at=datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), id=-2)


def list_tasks(*, owner_id: int, page: Page) -> tuple[list[TaskRow], bool]:
    """Return one page of the owner's tasks, newest first, and whether there are more, with one statement of the ORM."""
    sql, names = _compiled(page.limit, after_a_cursor=page.before is not None)
    values = _values(owner_id, page.before)
    return raw_sql.fetch(sql, [values[name] for name in names], limit=page.limit)


def retrieve_task(*, task_id: int, owner_id: int) -> TaskRow | None:
    """Return the owner's task, or None, with raw SQL."""
    return raw_sql.retrieve(task_id=task_id, owner_id=owner_id)


def page_query(*, owner_id: int, limit: int, before: Cursor | None) -> QuerySet[Task, tuple[Any, ...]]:
    """Return the query for a page, plus one row that shows whether there are more."""
    query = Task.objects.filter(owner_id=owner_id).order_by("-created_at", "-id")
    if before is not None:
        query = query.filter(before.older("created_at"))
    return query.values_list(*COLUMNS)[: limit + 1]


@cache
def _compiled(limit: int, *, after_a_cursor: bool) -> tuple[str, tuple[str, ...]]:
    """Return the query as SQL, and the names of its parameters in order.

    Building and compiling it costs ten times as much as running it, with the same text each time (docs/adr/0026).
    """
    before = _BEFORE if after_a_cursor else None
    sql, parameters = page_query(owner_id=_OWNER_ID, limit=limit, before=before).query.sql_with_params()
    names = {value: name for name, value in _values(_OWNER_ID, _BEFORE).items()}
    return sql, tuple(names[parameter] for parameter in parameters)


def _values(owner_id: int, before: Cursor | None) -> dict[str, Any]:
    values: dict[str, Any] = {"owner_id": owner_id}
    if before is not None:
        values |= {"at": connection.ops.adapt_datetimefield_value(before.at), "id": before.id}
    return values
