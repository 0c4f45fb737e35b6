"""The processes that a session has started: killing them, and finding those left behind."""

import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from support import ports
from support.paths import CHECKOUT

# Set in the environment of every process that inherits ours.
MARKER = "STACK_TESTS_SESSION"
SESSION = secrets.token_hex(16)
# Folders that only this session uses: a process whose command line, environment or open files name one belongs to it.
folders: set[Path] = set()
ENDED_WITHIN_SECONDS = 10


@contextmanager
def short_folder(prefix: str) -> Iterator[Path]:
    """Create a temporary folder whose path is short enough for sockets; pytest's may be too long."""
    with tempfile.TemporaryDirectory(prefix=f"{prefix}-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        folders.add(folder)
        yield folder


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill processes and all their descendants.

    All are suspended first: a running server would replace a killed child, and the new one would outlive it.
    """
    stopped: set[psutil.Process] = set()
    found = set(processes)
    while found:
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        stopped |= found
        found = set().union(*map(_descendants, stopped)) - stopped
    for process in stopped:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stopped, timeout=ENDED_WITHIN_SECONDS)


def _descendants(process: psutil.Process) -> set[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return set(process.children(recursive=True))
    return set()


def with_word(processes: Iterable[psutil.Process], word: str) -> list[psutil.Process]:
    """Return the processes whose command line contains the word and whose parent's does not, oldest first."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if word in " ".join(process.cmdline()):
                found.append(process)
    tops = [process for process in found if process.parent() not in found]
    return sorted(tops, key=lambda process: process.create_time())


def in_group(group: int) -> list[psutil.Process]:
    """Return the running processes of a process group."""
    return [process for process in _running() if _group_of(process) == group]


def _group_of(process: psutil.Process) -> int | None:
    with suppress(OSError):
        return os.getpgid(process.pid)
    return None


def left_behind() -> list[psutil.Process]:
    """Return every running process that this session has started, even if it has been reparented.

    nginx overwrites the memory that shows its environment, so its processes are identified by port and folder.
    """
    ours = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    return [process for process in _running() if process.pid not in ours and _is_of_session(process)]


def _running() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _is_of_session(process: psutil.Process) -> bool:
    with suppress(psutil.Error, OSError):
        texts = [*process.cmdline(), *process.environ().values(), *(file.path for file in process.open_files())]
        if SESSION in texts or any(str(folder) in text for folder in folders for text in texts):
            return True
        # Another checkout's session may be using the port by now.
        cwd = Path(process.cwd())
        return any(cwd.is_relative_to(folder) for folder in (CHECKOUT, *folders)) and bool(
            _listening(process) & ports.given
        )
    return False


def _listening(process: psutil.Process) -> set[int]:
    connections = process.net_connections("tcp")
    return {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}


def describe(process: psutil.Process) -> str:
    """Return one line that helps to identify the test that started a process."""
    with suppress(psutil.Error):
        return (
            f"{process.pid} (parent {process.ppid()}, group {_group_of(process)}, ports {_listening(process)}):"
            f" {' '.join(process.cmdline())}"
        )
    return f"{process.pid} (has exited)"
