"""Starts `make up` as a person does, in a terminal of its own, and finds what it leaves behind."""

import fcntl
import os
import pty
import re
import secrets
import select
import shutil
import socket
import subprocess
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
READY_WITHIN_SECONDS = 60
# The promise for Ctrl-C.
STOPPED_WITHIN_SECONDS = 10


def clean_environment(**changes: str) -> dict[str, str]:
    """What a person's shell has: nothing of the make that runs the tests, nothing that .env.example names."""
    example = (CHECKOUT / ".env.example").read_text()
    ours = set(re.findall(r"^(?:# )?([A-Z_]+)=", example, re.MULTILINE))
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(("MAKE", "MFLAGS"))
    }
    return kept | {
        "JWT_KEYS": f"test:{secrets.token_urlsafe(48)}",
        "AUTH_SECRET_KEY": secrets.token_urlsafe(48),
        "TASKS_SECRET_KEY": secrets.token_urlsafe(48),
        "SCHEDULER_SECRET_KEY": secrets.token_urlsafe(48),
        **changes,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stack:
    """One `make up` in a pseudo-terminal, or without any."""

    def __init__(self, *, terminal: bool = True, command: tuple[str, ...] = ("make", "up"), **env: str) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="stack-"))
        self.port = free_port()
        self.output = ""
        self._family: set[psutil.Process] = set()
        controller, end = pty.openpty()
        self._controller: int | None = controller
        self.process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=clean_environment(**{"STATE_DIR": str(self.state), "GATEWAY_PORT": str(self.port)} | env),
            stdin=end if terminal else subprocess.DEVNULL,
            stdout=end,
            stderr=end,
            start_new_session=True,
            # A session's first terminal has to be claimed; then Ctrl-C in it is a signal.
            preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if terminal else None,
        )
        os.close(end)

    def type(self, characters: bytes) -> None:
        assert self._controller is not None
        os.write(self._controller, characters)

    def close_terminal(self) -> None:
        if self._controller is not None:
            os.close(self._controller)
            self._controller = None

    def read(self, until: Callable[[], bool], *, within: float) -> None:
        """Collect the output until this holds."""
        deadline = time.monotonic() + within
        while not until():
            assert time.monotonic() < deadline, f"not within {within} s:\n{self.output}"
            self._read_some()

    def _read_some(self) -> None:
        if self._controller is None or not select.select([self._controller], [], [], 0.1)[0]:
            time.sleep(0.05)
            return
        try:
            self.output += os.read(self._controller, 65536).decode(errors="replace")
        except OSError:  # Linux says EIO when the last process at the other end has gone.
            time.sleep(0.05)

    def wait_until_ready(self) -> "Stack":
        self.read(lambda: "\nReady: " in self.output.replace("\r", ""), within=READY_WITHIN_SECONDS)
        self.family()
        return self

    def family(self) -> set[psutil.Process]:
        """Every process that this stack has started, also the ones that have left make's group or session since."""
        root = psutil.Process(self.process.pid)
        self._family |= {root, *root.children(recursive=True)}
        return self._family

    def named(self, words: str) -> psutil.Process:
        """The process that the supervisor started for a line of the Procfile."""
        (found,) = re.findall(rf"system\s+\| {words} started \(pid=(\d+)\)", self.output)
        return psutil.Process(int(found))

    def wait(self, within: float = STOPPED_WITHIN_SECONDS) -> int:
        """make's exit code, once everything that it started has ended."""
        started = time.monotonic()
        self.read(lambda: self.process.poll() is not None, within=within)
        # What is on its way out counts as ended if that is within the same time.
        while (left := self.alive()) and time.monotonic() - started < within:
            time.sleep(0.05)
        assert not left, f"left behind: {left}"
        # The last words may still be in the terminal.
        for _ in range(3):
            self._read_some()
        return self.process.returncode

    def alive(self) -> list[psutil.Process]:
        _, alive = psutil.wait_procs(self._family, timeout=0)
        return alive

    def clean_up(self) -> None:
        if self.process.poll() is None:
            self.family()
        for process in self.alive():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        self.close_terminal()
        shutil.rmtree(self.state, ignore_errors=True)


@pytest.fixture
def start() -> Iterator[Callable[..., Stack]]:
    stacks: list[Stack] = []

    def starter(**arguments: object) -> Stack:
        stacks.append(Stack(**arguments))
        return stacks[-1]

    yield starter
    for stack in stacks:
        stack.clean_up()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The checkout, with a .env of its own; the environments and the services are the real ones."""
    for name in ("local", "nginx", "console"):
        shutil.copytree(CHECKOUT / name, tmp_path / name)
    for name in ("Procfile", ".env.example"):
        shutil.copy(CHECKOUT / name, tmp_path)
    (tmp_path / "services").symlink_to(CHECKOUT / "services")
    (tmp_path / "var").mkdir()
    (tmp_path / "var/env").symlink_to(CHECKOUT / "var/env")
    return tmp_path
