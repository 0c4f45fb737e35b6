"""Print as JSON the plan of every statement that the file's operations send: operation, statement, plan.

Each operation runs in a transaction that is rolled back, and its statements are then sent again for their plans. Both
servers return the plan of an executed statement as a further result after its own, for each statement of a batch.
"""

import json
import runpy
import sys
from collections.abc import Callable, Iterator
from typing import Any

import django

django.setup()

from django.db import connection, transaction

PREFIXES = ("accounts_", "tasks_", "jobs_", "webhooks_")
# The name of the plan's column on SQL Server and on Babelfish.
PLAN = {"StmtText", "QUERY PLAN"}


def plan(sql: str, parameters: Any) -> Iterator[list[str]]:
    """Yield the plan of each statement of a batch."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        more = True
        while more:
            if not PLAN.isdisjoint(column[0] for column in cursor.description or ()):
                yield [" ".join(map(str, row)) for row in cursor.fetchall()]
            more = cursor.nextset()


def plans(operation: Callable[[], object]) -> Iterator[tuple[str, list[str]]]:
    sent: list[tuple[str, Any]] = []

    def record(execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: Any) -> Any:
        sent.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with transaction.atomic():
        with connection.execute_wrapper(record):
            operation()
        transaction.set_rollback(True)
    for sql, parameters in sent:
        if any(prefix in sql for prefix in PREFIXES):
            with transaction.atomic():
                for lines in plan(sql, parameters):
                    if any(prefix in line for prefix in PREFIXES for line in lines):
                        yield sql.strip(), lines
                transaction.set_rollback(True)


with connection.cursor() as cursor:
    cursor.execute("SELECT @@VERSION")
    prefix = "BABELFISH_" if "Babelfish" in cursor.fetchone()[0] else ""
    cursor.execute(f"SET {prefix}STATISTICS PROFILE ON")
operations: dict[str, Callable[[], object]] = runpy.run_path(sys.argv[1])["operations"]
print(json.dumps({name: list(plans(operation)) for name, operation in operations.items()}))
