"""What the scheduler asks of the database, for any/statement_plans.py."""

from collections.abc import Callable

from jobs.selectors import count_tasks, task_pages

operations: dict[str, Callable[[], object]] = {
    "report": lambda: list(task_pages(owner_id=7, limit=1000)),
    "count": lambda: count_tasks(owner_id=7),
}
