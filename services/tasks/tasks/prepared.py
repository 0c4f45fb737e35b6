"""Statements that stay prepared on SQL Server, so that each of them is one round trip.

A statement with parameters on a new cursor takes three: Django's health check of the connection, prepare and execute,
and unprepare when the cursor is closed. On a kept cursor it takes one, since both drivers execute a statement again
without preparing it if its text is the same.

https://learn.microsoft.com/en-us/sql/odbc/reference/develop-app/prepared-execution-odbc
"""

import threading
from typing import Any

from django.db import Error as DatabaseLayerError
from django.db import connection

# Each page size has its own statement.
MOST_STATEMENTS = 32

_thread = threading.local()


def execute(sql: str, parameters: list[Any], *, repeatable: bool) -> list[tuple[Any, ...]]:
    """Return the rows of a statement; ``repeatable`` means that it only reads.

    In that case the connection is not checked first; if it has been lost, the statement runs again on a new one.
    """
    if not repeatable or connection.in_atomic_block:
        return _execute(sql, parameters)
    before = connection.connection
    connection.health_check_done = True  # type: ignore[attr-defined]  # not in the stubs
    try:
        return _execute(sql, parameters)
    except DatabaseLayerError:
        # The backend itself closes the connection after errors that it recognises.
        if before is None or (connection.connection is not None and connection.is_usable()):
            raise
    connection.close()
    return _execute(sql, parameters)


def _execute(sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    cursor = _cursor(sql)
    try:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        # A driver reports a failure later in the batch, such as of its COMMIT, only when that result is fetched.
        while cursor.nextset():
            pass
    except BaseException:
        _thread.cursors.pop(sql, None)
        raise
    return rows


def _cursor(sql: str) -> Any:
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    # Whether a cursor writes Django's log of queries is decided when it is created.
    kept_for = (connection.connection, connection.queries_logged)
    if getattr(_thread, "kept_for", None) != kept_for or len(_thread.cursors) >= MOST_STATEMENTS:
        _thread.kept_for, _thread.cursors = kept_for, {}
    if sql not in _thread.cursors:
        _thread.cursors[sql] = cursor = connection.cursor()
        # pyodbc prepares again unless it gets the same string object, and the backend creates a new one each time.
        text = sql.replace("%s", "?")
        cursor.cursor.format_sql = lambda sql, parameters: text
    return _thread.cursors[sql]
