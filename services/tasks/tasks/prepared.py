"""Statements that stay prepared on SQL Server, so that each of them is one round trip.

A new cursor makes three of a statement with parameters: Django's question whether the connection works, prepare and
execute, and unprepare when it is closed. A cursor that is kept makes one, since both drivers execute a statement again
without preparing it if its text is the same.

https://learn.microsoft.com/en-us/sql/odbc/reference/develop-app/prepared-execution-odbc
"""

import threading
from typing import Any

from django.db import Error as DatabaseLayerError
from django.db import connection

# Pages of each size have a text of their own.
MOST_STATEMENTS = 32

_thread = threading.local()


def execute(sql: str, parameters: list[Any], *, repeatable: bool) -> list[tuple[Any, ...]]:
    """Return the rows of a statement; ``repeatable`` means that it only reads.

    Then the connection is not asked first whether it works: if it has died meanwhile, the statement runs again on a new
    one.
    """
    if not repeatable or connection.in_atomic_block:
        return _execute(sql, parameters)
    before = connection.connection
    connection.health_check_done = True  # type: ignore[attr-defined]  # not in the stubs
    try:
        return _execute(sql, parameters)
    except DatabaseLayerError:
        # The backend closes a connection whose error it knows.
        if before is None or (connection.connection is not None and connection.is_usable()):
            raise
    connection.close()
    return _execute(sql, parameters)


def _execute(sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    cursor = _cursor(sql)
    try:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        # A driver reports what fails later in a batch, such as its COMMIT, only when it is asked for that result.
        while cursor.nextset():
            pass
    except BaseException:
        _thread.cursors.pop(sql, None)
        raise
    return rows


def _cursor(sql: str) -> Any:
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    # A cursor writes Django's log of queries or does not, as was wanted when it was made.
    kept_for = (connection.connection, connection.queries_logged)
    if getattr(_thread, "kept_for", None) != kept_for or len(_thread.cursors) >= MOST_STATEMENTS:
        _thread.kept_for, _thread.cursors = kept_for, {}
    if sql not in _thread.cursors:
        _thread.cursors[sql] = cursor = connection.cursor()
        # pyodbc prepares again unless it is given the very same string, and the backend makes a new one each time.
        text = sql.replace("%s", "?")
        cursor.cursor.format_sql = lambda sql, parameters: text
    return _thread.cursors[sql]
