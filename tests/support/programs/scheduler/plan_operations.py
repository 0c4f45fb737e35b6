"""What the scheduler asks of the database, for any/statement_plans.py."""

from collections.abc import Callable

from jobs.selectors import iterate_tasks

operations: dict[str, Callable[[], object]] = {"report": lambda: list(iterate_tasks(owner_id=7))}
