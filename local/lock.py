"""Lock the folders in use; a lock ends with the last process that has its descriptor. Needs only the standard library.

The lock of a state folder keeps two stacks from taking each other's sockets; its file holds the gateway's port. A
running stack also shares the lock of var/, which `make clean` would delete under it.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from local.errors import CommandError


@contextlib.contextmanager
def hold_state(run: Path, *, port: int, state: str) -> Iterator[int]:
    """Hold the lock of the state folder, and yield its descriptor; raises CommandError where a stack holds it."""
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
    """Return the gateway's port of the stack that runs on this state folder, or None where none does."""
    with contextlib.suppress(FileNotFoundError), (run / "lock").open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read() or 0)
    return None


@contextlib.contextmanager
def use(var: Path) -> Iterator[int]:
    """Keep `make clean` from deleting the folder meanwhile; yields the lock's descriptor."""
    var.mkdir(mode=0o700, exist_ok=True)
    with _folder_lock(var, fcntl.LOCK_SH) as descriptor:
        yield descriptor


@contextlib.contextmanager
def refuse_while_used(var: Path) -> Iterator[None]:
    """Raise CommandError where something runs from the folder."""
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
