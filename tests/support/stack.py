"""Running stacks: of `make up` on this machine, of `make docker-up` in containers, or of `make swarm-up`."""

import codecs
import contextlib
import fcntl
import json
import os
import pty
import re
import secrets
import select
import signal
import socket
import sqlite3
import subprocess
import termios
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import requests

from support import environment, processes
from support.commands import output_of, run_in_service
from support.compose import Project
from support.paths import CHECKOUT
from support.ports import free_port
from support.swarm import FIRST_ADDRESS, Swarm
from support.waiting import wait_until

READY_WITHIN_SECONDS = 90
STOPPED_WITHIN_SECONDS = 20


class Stack(ABC):
    """A running stack: its URL, its secret, its log, and the ways to disturb it."""

    def __init__(self, *, url: str, secret: str, client_address: str = "127.0.0.1") -> None:
        self.url = url
        self.secret = secret
        # The address of a client on this machine as the gateway sees it.
        self.client_address = client_address

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def call(self, method: str, path: str, *, token: str | None = None, **arguments: Any) -> requests.Response:
        """Make a request; on a 429, wait for Retry-After and retry, as a client should."""
        headers = arguments.pop("headers", {})
        if token is not None:
            headers = {"Authorization": f"Bearer {token}", **headers}
        while True:
            response = requests.request(
                method, self.url + path, headers=headers, timeout=30, allow_redirects=False, **arguments
            )
            if response.status_code != 429:
                return response
            time.sleep(int(response.headers["Retry-After"]))

    def send(self, method: str, path: str, body: bytes, *, token: str, content_type: str) -> requests.Response:
        """Make one request with a body of raw bytes."""
        return self.call(method, path, token=token, data=body, headers={"Content-Type": content_type})

    def all_tasks(self, *, token: str, limit: int = 100) -> list[dict[str, Any]]:
        """Return every task of the user, read in pages of ``limit``."""
        tasks: list[dict[str, Any]] = []
        path = f"/api/tasks?limit={limit}"
        while path:
            response = self.call("GET", path, token=token)
            tasks += response.json()
            path = response.links.get("next", {}).get("url", "").removeprefix(self.url)
        return tasks

    def wait_for_line(self, predicate: Callable[[str], bool], *, timeout: float) -> str:
        """Return the first line of the log for which the predicate holds."""
        return wait_until(
            lambda: next(filter(predicate, self.lines), None),
            timeout=timeout,
            what=lambda: "the line is printed:\n" + "\n".join(self.lines[-40:]),
        )

    def wait_for_entries(self, request_id: str, *, count: int, timeout: float) -> list[dict[str, Any]]:
        """Return the JSON lines with this request id once there are ``count``."""

        def found() -> list[dict[str, Any]]:
            entries = [entry for entry in self.log() if entry.get("request_id") == request_id]
            return entries if len(entries) >= count else []

        return wait_until(found, timeout=timeout, what=lambda: f"{count} lines of {request_id}:\n{found()}")

    def log(self) -> list[dict[str, Any]]:
        """Return the JSON lines of the services and the gateway."""
        return [entry for line in self.lines if (entry := log_entry(line)) is not None]

    @property
    @abstractmethod
    def lines(self) -> list[str]:
        """All lines that the stack has printed."""

    @abstractmethod
    def connect(self, service: str) -> socket.socket:
        """Connect to the service directly, bypassing the gateway."""

    @abstractmethod
    def frozen_redis(self) -> AbstractContextManager[None]:
        """Let Redis accept connections but not respond."""

    @abstractmethod
    def locked_database(self) -> AbstractContextManager[None]:
        """Hold the database's write lock, as another process does during a write."""

    @abstractmethod
    def show_tasks(self) -> str:
        """Return the output of manage.py show_tasks --once."""


def log_entry(line: str) -> dict[str, Any] | None:
    """Return the JSON object of a line, which may be prefixed with the name of its process."""
    with suppress(json.JSONDecodeError):
        entry = json.loads(line[line.index("{") :]) if "{" in line else None
        return entry if isinstance(entry, dict) else None
    return None


class LocalStack(Stack):
    """A separate `make up`, with or without a pseudo-terminal, and the processes that it has started."""

    def __init__(
        self,
        state: Path,
        *,
        secret: str = "",
        env: Mapping[str, str],
        command: Sequence[str | Path] = ("make", "up"),
        checkout: Path = CHECKOUT,
        terminal: bool = False,
    ) -> None:
        super().__init__(url=f"http://127.0.0.1:{env['GATEWAY_PORT']}", secret=secret)
        self.state = state
        self.environment = dict(env)
        self.checkout = checkout
        self._family: set[psutil.Process] = set()
        processes.folders.add(state)
        ours, end = pty.openpty() if terminal else os.pipe()
        self.process = subprocess.Popen(
            command,
            cwd=checkout,
            env=env,
            stdin=end if terminal else subprocess.DEVNULL,
            stdout=end,
            stderr=end,
            start_new_session=True,
            # Make it the session's controlling terminal, so that Ctrl-C in it sends a signal.
            preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if terminal else None,
        )
        os.close(end)
        self._screen = Screen(ours)

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return "\n".join([*self.lines, self._screen.unfinished])

    @property
    def lines(self) -> list[str]:
        return self._screen.lines.copy()

    def type(self, characters: bytes) -> None:
        self._screen.type(characters)

    def close_terminal(self) -> None:
        self._screen.close()

    def wait_until_printed(self, text: str, *, timeout: float) -> None:
        wait_until(lambda: text in self.output, timeout=timeout, what=lambda: f"{text!r} in\n{self.output}")

    def wait_until_ready(self, *, timeout: float = READY_WITHIN_SECONDS) -> "LocalStack":
        """Return once the stack has printed the last line of its ready message."""

        def ready() -> bool:
            assert self.process.poll() is None, f"the stack did not start:\n{self.output}"
            return any(line.startswith("  stop ") for line in self.lines)

        wait_until(ready, timeout=timeout, what=lambda: f"the stack is ready:\n{self.output}")
        self.family()
        return self

    def family(self) -> set[psutil.Process]:
        """Return every process of the stack, including those that have left make's group or session."""
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.process.pid)
            self._family |= {root, *root.children(recursive=True)}
        return self._family

    def part(self, word: str) -> psutil.Process:
        """Return the oldest process whose command line contains the word and whose parent's does not."""
        return self.parts(word)[0]

    def parts(self, word: str) -> list[psutil.Process]:
        return processes.with_word(self.family(), word)

    def main_process(self, name: str) -> psutil.Process | None:
        """Return a part's main process according to the supervisor's lines, or None if it is not running."""
        self.family()
        pid = int(re.findall(rf"^supervisor: {name} started \(pid (\d+)\)", self.output, re.MULTILINE)[-1])
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def alive(self) -> list[psutil.Process]:
        """Return the processes of the stack that are still running."""
        return psutil.wait_procs(self._family, timeout=0)[1]

    def wait(self, *, timeout: float) -> int:
        """Return make's exit code once every process that it started has exited."""
        deadline = time.monotonic() + timeout
        wait_until(lambda: self.process.poll() is not None, timeout=timeout, what=lambda: f"the end:\n{self.output}")
        left = deadline - time.monotonic()
        wait_until(lambda: not self.alive(), timeout=left, what=lambda: f"nothing is left behind: {self.alive()}")
        self._screen.finish()
        assert self.process.returncode is not None
        return self.process.returncode

    def stop(self) -> int:
        """Stop the stack as Ctrl-C does; return make's exit code."""
        self.family()
        os.killpg(self.process.pid, signal.SIGINT)
        return self.wait(timeout=STOPPED_WITHIN_SECONDS)

    def end(self) -> None:
        """Kill the remaining processes and close the terminal."""
        processes.kill(self.family())
        self.process.wait()
        self._screen.close()

    def connect(self, service: str) -> socket.socket:
        command = self.part(f"{service}.sock").cmdline()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        connection.connect(command[command.index("--uds") + 1])
        return connection

    @contextmanager
    def frozen_redis(self) -> Iterator[None]:
        redis = self.part("redis-server")
        redis.suspend()
        try:
            yield
        finally:
            redis.resume()

    @contextmanager
    def locked_database(self) -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(self.state / "db.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    def show_tasks(self) -> str:
        return output_of(run_in_service("tasks", "manage.py", "show_tasks", "--once", env=self.environment))


class Screen:
    """Our end of a pseudo-terminal or a pipe, read by a thread."""

    def __init__(self, descriptor: int) -> None:
        self.lines: list[str] = []
        self.unfinished = ""
        self._descriptor = descriptor
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, characters: bytes) -> None:
        os.write(self._descriptor, characters)

    def finish(self) -> None:
        """Read the remaining output after every writing process has exited."""
        self._reader.join(timeout=5)

    def close(self) -> None:
        if not self._closing.is_set():
            # Closing while the thread reads would keep the terminal open.
            self._closing.set()
            self._reader.join()
            os.close(self._descriptor)

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        while not self._closing.is_set():
            if select.select([self._descriptor], [], [], 0.1)[0]:
                # Linux reports EIO once the last process at the other end of a terminal has exited.
                with suppress(OSError):
                    if data := os.read(self._descriptor, 65536):
                        *lines, self.unfinished = (self.unfinished + decoder.decode(data)).split("\n")
                        self.lines += [line.removesuffix("\r") for line in lines]
                        continue
                return


class ContainerStack(Stack):
    """The stack of `make docker-up`."""

    def __init__(self, project: Project) -> None:
        [gateway] = project.inspect(*project.containers("gateway"))
        address = gateway["NetworkSettings"]["Networks"][f"{project.name}_edge"]["Gateway"]
        super().__init__(url=project.url, secret=project.secret, client_address=address)
        self.project = project

    @property
    def lines(self) -> list[str]:
        return self.project.log()

    def connect(self, service: str) -> socket.socket:
        [container, *_] = self.project.inspect(*self.project.containers(service))
        address = container["NetworkSettings"]["Networks"][f"{self.project.name}_internal"]["IPAddress"]
        return socket.create_connection((address, 8000), timeout=30)

    def frozen_redis(self) -> AbstractContextManager[None]:
        return self.project.frozen("redis")

    def locked_database(self) -> AbstractContextManager[None]:
        return self.project.locked_database()

    def show_tasks(self) -> str:
        return self.project.execute("tasks", "python", "manage.py", "show_tasks", "--once")


class SwarmStack(Stack):
    """The stack of `make swarm-up`, accessed through one node's address at a time."""

    def __init__(self, swarm: Swarm) -> None:
        super().__init__(url=swarm.url, secret=swarm.secret, client_address=FIRST_ADDRESS)
        self.swarm = swarm

    def use(self, node: int) -> None:
        """Send all further requests to this node."""
        self.url = self.swarm.addresses[node]

    @property
    def lines(self) -> list[str]:
        return self.swarm.log()

    def connect(self, service: str) -> socket.socket:
        raise NotImplementedError("an overlay network is closed to this machine")

    @contextmanager
    def frozen_redis(self) -> Iterator[None]:
        with self.swarm.frozen("redis"):
            yield

    def locked_database(self) -> AbstractContextManager[None]:
        raise NotImplementedError("the file stands in for a database server")

    def show_tasks(self) -> str:
        return self.swarm.execute_task("tasks", "python", "manage.py", "show_tasks", "--once")


@contextmanager
def running_stack(state: Path, **changes: str) -> Iterator[LocalStack]:
    """Run a separate stack with its state in the folder and ``changes`` to its environment; stop it at the end."""
    secret = secrets.token_urlsafe(48)
    env = environment.for_stack(state=state, port=free_port(), secret=secret, **changes)
    stack = LocalStack(state, secret=secret, env=env)
    try:
        yield stack.wait_until_ready()
        stack.stop()
    finally:
        stack.end()
