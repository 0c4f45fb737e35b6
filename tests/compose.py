"""The stack in containers, under a project name of its own: started by `make docker-up`, and always taken down."""

import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

CHECKOUT = Path(__file__).resolve().parents[1]
# Those that run until they are told to stop.
PARTS = ("gateway", "auth", "tasks", "scheduler", "worker", "beat", "redis")
IMAGES = ("gateway", "auth", "tasks", "scheduler")
SECRETS = ("JWT_KEYS", "AUTH_SECRET_KEY", "TASKS_SECRET_KEY", "SCHEDULER_SECRET_KEY", "REDIS_PASSWORD")

T = TypeVar("T")

# Takes the write lock of the database file, says so, and holds it until its standard input ends.
LOCK = """
import sqlite3, sys
connection = sqlite3.connect("/data/db.sqlite3", isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""

# The processes of the server, each with its parent. Those whose parent is one of them do its work.
SERVER = """
import os, signal
from pathlib import Path
server = {}
for status in Path("/proc").glob("[0-9]*/status"):
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    if b"granian" in (status.parent / "cmdline").read_bytes().split(b"\\0")[1]:
        server[int(fields["Pid"])] = int(fields["PPid"])
processes = [pid for pid, parent in server.items() if parent in server]
"""


def wait_for(probe: Callable[[], T | None], *, within: float, what: str = "it") -> T:
    """What the probe returns as soon as that is not None; fails after ``within`` seconds."""
    deadline = time.monotonic() + within
    while (result := probe()) is None:
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.1)
    return result


class Project:
    """One Compose project with secrets of its own, on a port of its own."""

    def __init__(self) -> None:
        self.name = f"test-{secrets.token_hex(4)}"
        # On all that Compose makes for it.
        self.label = f"com.docker.compose.project={self.name}"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.admin_port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.started = time.time()
        # What its start has printed.
        self.said = ""
        self.secret = secrets.token_urlsafe(48)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        self.env = kept | {
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_PROGRESS": "quiet",
            "GATEWAY_PORT": str(self.port),
            "ADMIN_PORT": str(self.admin_port),
            **{name: secrets.token_urlsafe(48) for name in SECRETS},
            "JWT_KEYS": f"e2e:{self.secret}",
            # All that matters, since .env adds what is not here. Empty means the default.
            "DATABASE_URL": "",
            "AUTH_DATABASE_URL": "",
            "TASKS_DATABASE_URL": "",
            "SCHEDULER_DATABASE_URL": "",
            "REDIS_URL": "",
            "AUTH_RATE_LIMIT": "10",
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "INFO",
            "REPORT_USER_ID": "1",
            "RUNS_KEPT_DAYS": "30",
            "CORS_ORIGINS": "",
            "WEB_WORKERS": "2",
            "WEB_THREADS": "4",
        }

    def run(self, *command: str, check: bool = True, **env: str) -> str:
        """What the command prints; fails with its complaints, or returns them as well where ``check`` is off."""
        done = subprocess.run(
            command, cwd=CHECKOUT, env=self.env | env, capture_output=True, text=True, timeout=300, check=False
        )
        if check:
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
            return done.stdout
        return done.stdout + done.stderr

    def compose(self, *arguments: str, check: bool = True, **env: str) -> str:
        # Some versions erase the line before they write it, also where there is no terminal.
        return self.run("docker", "compose", *arguments, check=check, **env).replace("\x1b[2K", "")

    def execute(self, service: str, *command: str, check: bool = True) -> str:
        """Run a command in the service's container."""
        return self.compose("exec", "--no-TTY", service, *command, check=check)

    def containers(self, *services: str) -> list[str]:
        """The ids of the services' containers that run."""
        return self.compose("ps", "--quiet", *services).split()

    def inspect(self, *ids: str) -> list[dict[str, Any]]:
        described: list[dict[str, Any]] = json.loads(self.run("docker", "inspect", *ids))
        return described

    def images(self) -> list[str]:
        """The ids of all images that were built for the project, with a name or without."""
        return list({*self.run("docker", "images", "--quiet", "--filter", f"label={self.label}").split()})

    def health(self, service: str) -> str:
        [container] = self.inspect(*self.containers(service))
        status: str = container["State"]["Health"]["Status"]
        return status

    def crash(self, container: str, *, user: str = "10001") -> None:
        """kill -9 all processes of the container but its init, which then ends: Docker takes it for a crash."""
        # Who sends it is not spared for long, so its own exit code says nothing.
        self.run("docker", "exec", "--user", user, container, "sh", "-c", "kill -9 -1", check=False)

    def processes(self, service: str) -> list[int]:
        """The ids, in its container, of the processes in which the service's server answers requests."""
        return [int(pid) for pid in self.execute(service, "python", "-c", SERVER + "print(*processes)").split()]

    def signal_process(self, service: str, name: str) -> None:
        """Send a signal to the first of them."""
        self.execute(service, "python", "-c", SERVER + f"os.kill(processes[0], signal.{name})")

    @contextmanager
    def locked_database(self) -> Iterator[None]:
        """Another process holds the write lock of the database, from a container that is no part of the stack."""
        mount, image = f"{self.name}_data:/data", f"{self.name}-tasks"
        with subprocess.Popen(
            ["docker", "run", "--rm", "--interactive", "--volume", mount, image, "python", "-c", LOCK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder:
            assert holder.stdout.readline() == "locked\n"
            try:
                yield
            finally:
                holder.stdin.close()
                holder.wait(timeout=20)

    @contextmanager
    def frozen(self, service: str) -> Iterator[None]:
        self.compose("pause", service)
        try:
            yield
        finally:
            self.compose("unpause", service)

    def request(self, method: str, path: str, *, timeout: float = 30, **arguments: Any) -> requests.Response:
        return requests.request(method, self.url + path, timeout=timeout, allow_redirects=False, **arguments)

    def wait_until_serving(self, service: str, *, count: int = 1, within: float = 60) -> None:
        """Until so many containers of the service answer, asked from inside: how fast they start is another matter."""
        ask = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"

        def answers(container: str) -> bool:
            done = subprocess.run(["docker", "exec", container, "python", "-c", ask], capture_output=True, check=False)
            return done.returncode == 0

        def all_answer() -> bool | None:
            found = self.containers(service)
            return (len(found) == count and all(map(answers, found))) or None

        wait_for(all_answer, within=within, what=f"{count} of {service} answer")

    def wait_until_ready(self, within: float = 60) -> None:
        def ready() -> bool | None:
            try:
                return self.request("GET", "/readyz").status_code == 200 or None
            except requests.ConnectionError:
                return None

        wait_for(ready, within=within, what="/readyz is 200")

    def log(self, *services: str, since: float = 0) -> list[str]:
        """What the containers have printed since then (Unix time, seconds), each line after its container's name."""
        return self.compose("logs", "--no-color", "--since", f"{since:.3f}", *services).splitlines()


@contextmanager
def running_project() -> Iterator[Project]:
    """A project that `make docker-up` has started. It is removed with its volumes, also when the start fails."""
    project = Project()
    try:
        project.said = project.run("make", "docker-up")
        yield project
    finally:
        project.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")
        # Not --rmi, which would take the public ones too, and leave what a later build has taken the name from.
        if images := project.images():
            project.run("docker", "rmi", "--force", *images)


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    """The project that the suites of a session share."""
    with running_project() as project:
        yield project
