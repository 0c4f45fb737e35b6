"""Measure every database statement: its duration, and the class of its error.

On SQLite, a statement lasts until its first row is found. Reading further rows, connecting and committing do not count,
except in a batch, which counts as one statement.
"""

import time
from collections.abc import Callable
from typing import Any

from django.db import Error as DatabaseLayerError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from servicekit.metrics import Counter, Histogram

DURATION = Histogram(
    "db_client_operation_duration_seconds",
    "Duration of database statements, until the server starts to respond.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
ERRORS = Counter("db_client_errors", "Database statements that failed, by the class of the error.", ["error_type"])
# The exception classes of PEP 249, to which Django maps the errors of every driver.
_CLASSES = (
    *("Error", "InterfaceError", "DatabaseError", "DataError", "OperationalError", "IntegrityError", "InternalError"),
    *("ProgrammingError", "NotSupportedError"),
)
for _name in _CLASSES:
    # Start at 0, so that the first error shows as an increase.
    ERRORS.labels(_name)


def count_statements() -> None:
    """Measure the statements of every connection that is opened from now on."""
    connection_created.connect(_add_wrapper, dispatch_uid="servicekit.database.statements")


def _add_wrapper(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    # The list survives closing and reopening the connection.
    if _count not in connection.execute_wrappers:
        connection.execute_wrappers.append(_count)


def _count(execute: Callable[..., Any], sql: str, params: Any, many: Any, context: Any) -> Any:
    started = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    except DatabaseLayerError as error:
        name = type(error).__name__
        ERRORS.labels(name if name in _CLASSES else "other").inc()
        raise
    finally:
        DURATION.observe(time.perf_counter() - started)
