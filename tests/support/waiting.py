"""Waiting for a condition instead of sleeping."""

import time
from collections.abc import Callable
from typing import Literal, TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T | Literal[False] | None],
    *,
    timeout: float,
    what: str | Callable[[], str] = "the condition holds",
    interval: float = 0.05,
) -> T:
    """Return the condition's value as soon as it is true; after ``timeout`` seconds fail, reporting ``what``.

    Pass ``what`` as a function if it is expensive or changes in the meantime.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what if isinstance(what, str) else what()}")
        time.sleep(interval)
    return value
