"""Support for commands whose output goes to a pipe."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def ends_quietly() -> Iterator[None]:
    """End a command without a traceback when the reader of its output, such as `head`, closes the pipe."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Otherwise Python would fail again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
