"""Locks of the folders in use; the last process to close a lock's descriptor releases it. Standard library only.

The lock of a state folder keeps two stacks from taking each other's sockets; its file contains the gateway's port. A
running stack also holds a shared lock of var/, so that `make clean` does not delete it.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from local.errors import CommandError


@contextlib.contextmanager
def hold_state(run: Path, *, port: int, state: str) -> Iterator[int]:
    """Hold the lock of the state folder, and yield its descriptor; raises CommandError if another stack holds it."""
    with (run / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"the stack is already running in {state}; stop it, or set STATE_DIR") from None
        file.truncate(0)
        file.write(f"{port}\n")
        file.flush()
        yield file.fileno()


def running_port(run: Path) -> int | None:
    """Return the gateway's port of the stack that uses this state folder, or None if no stack does."""
    with contextlib.suppress(FileNotFoundError), (run / "lock").open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read() or 0)
    return None


@contextlib.contextmanager
def use(var: Path) -> Iterator[int]:
    """Keep `make clean` from deleting the folder; yields the lock's descriptor."""
    var.mkdir(mode=0o700, exist_ok=True)
    with _folder_lock(var, fcntl.LOCK_SH) as descriptor:
        yield descriptor


@contextlib.contextmanager
def refuse_while_used(var: Path) -> Iterator[None]:
    """Raise CommandError if something runs from the folder; keeps it from starting until the block exits."""
    if not var.is_dir():
        yield
        return
    try:
        with _folder_lock(var, fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield
    except BlockingIOError:
        raise CommandError("the stack is running from var/; stop it first") from None


@contextlib.contextmanager
def _folder_lock(folder: Path, operation: int) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, operation)
        yield descriptor
    finally:
        os.close(descriptor)
