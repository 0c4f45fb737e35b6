"""Retry the transactions of deadlock victims."""

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import Error as DatabaseLayerError
from django.db import connection

RETRIES = 3
# The other transaction continues immediately. The pause is random, so that two victims do not deadlock again.
LONGEST_PAUSE_SECONDS = 0.05

logger = logging.getLogger("servicekit.database.deadlocks")

P = ParamSpec("P")
R = TypeVar("R")


def retries_deadlocks(function: Callable[P, R]) -> Callable[P, R]:
    """Run the function again, up to three times, when SQL Server chooses its transaction as a deadlock victim (1205).

    The function must be one transaction, or safe to run again from its start, and must not change its arguments. Inside
    the caller's transaction the decorator does nothing: the server has rolled back all of it, including statements
    before the call, so retrying the call alone would commit only half.
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
    """Return whether this is SQLSTATE 40001, pyodbc's first argument, which mssql-python replaces with text."""
    return error.args[:1] == ("40001",) or str(error).startswith("Driver Error: Serialization failure")
