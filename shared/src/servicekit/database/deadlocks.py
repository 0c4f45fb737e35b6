"""What a deadlock's victim does: all of its transaction again."""

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import Error as DatabaseLayerError
from django.db import connection

RETRIES = 3
# The other transaction goes on at once. The time differs, so that two victims do not meet again.
LONGEST_PAUSE_SECONDS = 0.05

logger = logging.getLogger("servicekit.database.deadlocks")

P = ParamSpec("P")
R = TypeVar("R")


def retries_deadlocks(function: Callable[P, R]) -> Callable[P, R]:
    """Runs the function again, up to three times, when SQL Server has made its transaction a deadlock's victim (1205).

    For a function that is one transaction, or that may run again from its start without harm, and leaves its arguments
    as they were. Within a transaction of the caller's it does nothing: the server has rolled back all of that, also
    what came before the call, so a second run alone would commit half.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, RETRIES + 1):
            outermost = not connection.in_atomic_block
            try:
                return function(*args, **kwargs)
            except DatabaseLayerError as error:
                if not (outermost and is_deadlock_victim(error)):
                    raise
            logger.warning("deadlock", extra={"transaction": function.__qualname__, "attempt": attempt})
            time.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS * attempt))  # noqa: S311 - guards no secret
        return function(*args, **kwargs)

    return run


def is_deadlock_victim(error: Exception) -> bool:
    """Whether it is SQLSTATE 40001: pyodbc gives that first, mssql-python its words for it in place of the number."""
    return error.args[:1] == ("40001",) or str(error).startswith("Driver Error: Serialization failure")
