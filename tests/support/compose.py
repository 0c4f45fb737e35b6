"""The stack in containers under its own project name: started by `make docker-up` and always removed."""

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from support.commands import program
from support.environment import inherited, new_secrets
from support.http import responds
from support.paths import CHECKOUT
from support.ports import free_port
from support.waiting import wait_until

# The services that run until they are stopped.
PARTS = ("gateway", "auth", "tasks", "scheduler", "worker", "sender", "beat", "relay", "metrics", "redis")
IMAGES = ("gateway", "auth", "tasks", "scheduler")


class Project:
    """One Compose project with its own secrets and port."""

    def __init__(self) -> None:
        self.name = f"test-{secrets.token_hex(4)}"
        # Compose sets it on everything that it creates for the project.
        self.label = f"com.docker.compose.project={self.name}"
        self.port, self.admin_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.started = time.time()
        # The output of `make docker-up`.
        self.start_output = ""
        self.secret = secrets.token_urlsafe(48)
        self.env = inherited() | {
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_PROGRESS": "quiet",
            "GATEWAY_PORT": str(self.port),
            "ADMIN_PORT": str(self.admin_port),
            **new_secrets(self.secret),
            # Every variable that matters, since .env supplies any that is missing. Empty means the default.
            "DATABASE_URL": "",
            "AUTH_DATABASE_URL": "",
            "TASKS_DATABASE_URL": "",
            "SCHEDULER_DATABASE_URL": "",
            "REDIS_URL": "",
            "AUTH_RATE_LIMIT": "10",
            "CONNECTIONS_PER_ADDRESS": "256",
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "INFO",
            "REPORT_USER_ID": "1",
            "REPORT_LIMIT": "0",
            "RUNS_KEPT_DAYS": "30",
            "EVENTS_KEPT_DAYS": "30",
            "CORS_ORIGINS": "",
            "PUBLIC_URL": "",
            "WEB_WORKERS": "2",
            "WEB_THREADS": "4",
        }

    def run(self, *command: str, check: bool = True, **env: str) -> str:
        """Return stdout; fail if the command fails. With ``check`` off, return stdout and stderr for any exit code."""
        done = subprocess.run(
            command, cwd=CHECKOUT, env=self.env | env, capture_output=True, text=True, timeout=300, check=False
        )
        if check:
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
            return done.stdout
        return done.stdout + done.stderr

    def compose(self, *arguments: str, check: bool = True, **env: str) -> str:
        # Some versions erase the line before they write it, even without a terminal.
        return self.run("docker", "compose", *arguments, check=check, **env).replace("\x1b[2K", "")

    def execute(self, service: str, *command: str, check: bool = True) -> str:
        """Run a command in the service's container."""
        return self.compose("exec", "--no-TTY", service, *command, check=check)

    def run_program(self, service: str, name: str, *arguments: str, check: bool = True) -> str:
        """Run a program of support/programs in the service's container."""
        return self.execute(service, "python", *program(name), *arguments, check=check)

    def containers(self, *services: str) -> list[str]:
        """Return the ids of the services' running containers."""
        return self.compose("ps", "--quiet", *services).split()

    def inspect(self, *ids: str) -> list[dict[str, Any]]:
        described: list[dict[str, Any]] = json.loads(self.run("docker", "inspect", *ids))
        return described

    def images(self) -> list[str]:
        """Return the ids of all images built for the project, tagged or not."""
        return list({*self.run("docker", "images", "--quiet", "--filter", f"label={self.label}").split()})

    def health(self, service: str) -> str:
        [container] = self.inspect(*self.containers(service))
        status: str = container["State"]["Health"]["Status"]
        return status

    def crash(self, container: str, *, user: str = "10001") -> None:
        """Kill all processes of the container except its init, which then exits; to Docker, that is a crash."""
        # The signal also kills the shell that sends it, so the exit code is meaningless.
        self.run("docker", "exec", "--user", user, container, "sh", "-c", "kill -9 -1", check=False)

    def processes(self, service: str) -> list[int]:
        """Return the ids, inside the container, of the processes that handle the service's requests."""
        return [int(pid) for pid in self.run_program(service, "containers/server_processes").split()]

    def signal_process(self, service: str, name: str) -> None:
        """Send a signal to the first of these processes."""
        self.run_program(service, "containers/server_processes", name)

    @contextmanager
    def locked_database(self) -> Iterator[None]:
        """Hold the database's write lock in a container outside the stack."""
        mount, image = f"{self.name}_data:/data", f"{self.name}-tasks"
        run = ("docker", "run", "--rm", "--interactive", "--volume", mount, image)
        with subprocess.Popen(
            [*run, "python", *program("containers/lock_database")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder:
            assert holder.stdout
            assert holder.stdin
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

    def wait_until_serving(self, service: str, *, count: int = 1, timeout: float = 60) -> None:
        """Wait until ``count`` containers of the service respond, requested from inside, not through the gateway."""

        def serves(container: str) -> bool:
            ask = ["docker", "exec", container, "python", *program("containers/ask_healthz")]
            return subprocess.run(ask, capture_output=True, check=False).returncode == 0

        def all_serve() -> bool:
            found = self.containers(service)
            return len(found) == count and all(map(serves, found))

        wait_until(all_serve, timeout=timeout, what=f"{count} of {service} respond")

    def wait_until_ready(self, *, timeout: float = 60) -> None:
        wait_until(lambda: responds(f"{self.url}/readyz"), timeout=timeout, what="/readyz is 200")

    def log(self, *services: str, since: float = 0) -> list[str]:
        """Return the containers' output since ``since`` (Unix time), each line prefixed with its container's name."""
        return self.compose("logs", "--no-color", "--since", f"{since:.3f}", *services).splitlines()


@contextmanager
def running_project() -> Iterator[Project]:
    """Start a project with `make docker-up`; remove it with its volumes, even if the start fails."""
    project = Project()
    try:
        project.start_output = project.run("make", "docker-up")
        yield project
    finally:
        down = ("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")
        # The engine may keep a removed container's endpoint in a network for a moment.
        held = "has active endpoints"
        wait_until(lambda: held not in project.compose(*down, check=False), timeout=60, what="the networks are free")
        project.compose(*down)
        # Not --rmi: it would remove the public images too, and leave images whose tag a later build has reused.
        if images := project.images():
            project.run("docker", "rmi", "--force", *images)
