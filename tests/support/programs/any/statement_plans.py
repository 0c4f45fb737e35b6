"""Print the plan of every statement that the operations of the file send, as JSON: operation, statement, plan.

Each operation runs in a transaction that is undone, and what it sent is sent again for its plan. Both servers return
the plan of what they ran as a result after the statement's own.
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


def plan(sql: str, parameters: Any) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        if cursor.description:
            cursor.fetchall()
        rows: list[str] = []
        while cursor.nextset():
            if cursor.description:
                rows += [" ".join(map(str, row)) for row in cursor.fetchall()]
        return rows


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
                yield sql.strip(), plan(sql, parameters)
                transaction.set_rollback(True)


with connection.cursor() as cursor:
    cursor.execute("SELECT @@VERSION")
    prefix = "BABELFISH_" if "Babelfish" in cursor.fetchone()[0] else ""
    cursor.execute(f"SET {prefix}STATISTICS PROFILE ON")
operations: dict[str, Callable[[], object]] = runpy.run_path(sys.argv[1])["operations"]
print(json.dumps({name: list(plans(operation)) for name, operation in operations.items()}))
