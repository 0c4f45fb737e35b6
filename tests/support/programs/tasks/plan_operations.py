"""The tasks service's queries for any/statement_plans.py and any/use_tables.py."""

import datetime
from collections.abc import Callable

from servicekit.http.pagination import Cursor, Page
from tasks import raw_sql, selectors

now = datetime.datetime.now(datetime.UTC)
first = selectors.list_tasks(owner_id=7, page=Page(limit=4, before=None))[0]
before = Cursor(first[-1].created_at, first[-1].id)
task_id = first[0].id
# Another user's task, which is found but not changed: Babelfish shows no plan for a batch that returns rows. The
# recording of a release has one user's tasks only.
others = selectors.list_tasks(owner_id=8, page=Page(limit=1, before=None))[0]
other = others[0].id if others else task_id
operations: dict[str, Callable[[], object]] = {
    "list": lambda: selectors.list_tasks(owner_id=7, page=Page(limit=4, before=None)),
    "list, a further page": lambda: selectors.list_tasks(owner_id=7, page=Page(limit=4, before=before)),
    "retrieve": lambda: raw_sql.retrieve(task_id=task_id, owner_id=7),
    "update": lambda: raw_sql.rename(task_id=other, owner_id=7, title="New", now=now),
    "update of a version": lambda: raw_sql.rename(task_id=other, owner_id=7, title="New", now=now, version=1),
    "delete": lambda: raw_sql.delete(task_id=task_id, owner_id=7, now=now),
    "delete of a version": lambda: raw_sql.delete(task_id=task_id, owner_id=7, now=now, version=1),
}
