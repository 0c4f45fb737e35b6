"""Repeating an action in the background of a test."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def repeating(action: Callable[[], object], *, pause: float = 0) -> Iterator[None]:
    """Call ``action`` in a thread, ``pause`` seconds apart, until the block exits; then raise its exception, if any."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.is_set():
            action()
            ended.wait(pause)

    with ThreadPoolExecutor(1) as pool:
        repeated = pool.submit(repeat)
        try:
            yield
        finally:
            ended.set()
    repeated.result()
