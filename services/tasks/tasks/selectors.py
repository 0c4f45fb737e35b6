"""Reads."""

from servicekit.http.pagination import Page
from tasks import raw_sql
from tasks.models import Task
from tasks.raw_sql import TaskRow


def list_tasks(*, owner_id: int, page: Page) -> tuple[list[TaskRow], bool]:
    """The owner's tasks, newest first, by the ORM: one page, and whether there are more. One statement."""
    query = Task.objects.filter(owner_id=owner_id).order_by("-created_at", "-id")
    if page.before is not None:
        query = query.filter(page.before.older("created_at"))
    columns = ("id", "title", "duration", "version", "created_at", "updated_at")
    rows = [TaskRow(*row) for row in query.values_list(*columns)[: page.limit + 1]]
    return rows[: page.limit], len(rows) > page.limit


def retrieve_task(*, task_id: int, owner_id: int) -> TaskRow | None:
    """The owner's task, by raw SQL."""
    return raw_sql.retrieve(task_id=task_id, owner_id=owner_id)
