"""Fixtures for tests on the SQL Server of `make test-sqlserver`."""

import http.client
import json
import os
import secrets
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.environment import new_secrets
from support.paths import CHECKOUT, ENVIRONMENTS
from support.proxy import Proxy
from support.sqlserver import DRIVERS, Server
from support.tokens import make_token
from support.waiting import wait_until

THREADS = 2
SECRET = secrets.token_urlsafe(48)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.sqlserver)


class Service:
    """The tasks service as `make up` runs it, on a Unix socket."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._socket = folder / "tasks.sock"
        self._path = folder / "log"
        self._log = self._path.open("w")
        granian = ENVIRONMENTS / "tasks/bin/granian"
        flags = ("--interface", "wsgi", "--uds", self._socket, "--no-ws", "--workers", "1")
        flags += ("--blocking-threads", str(THREADS))
        self.process = subprocess.Popen(
            [granian, *flags, "--log-level", "warning", "tasks_service.wsgi:application"],
            cwd=CHECKOUT / "services/tasks",
            env=env,
            stdout=self._log,
            stderr=self._log,
        )
        wait_until(lambda: self.request("GET", "/healthz")[0] == 200, timeout=20, what=self._path.read_text)

    def durations(self) -> list[float]:
        """Return the duration in seconds of each request so far, according to the service's log."""
        records = map(json.loads, filter(lambda line: line.startswith("{"), self._path.read_text().splitlines()))
        return [record["duration_ms"] / 1000 for record in records if record["message"] == "request"]

    def request(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """Send a request; return its status (0 without a response) and body."""
        connection = http.client.HTTPConnection("tasks", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(30)
        try:
            connection.sock.connect(str(self._socket))
            headers = {"Authorization": f"Bearer {make_token(SECRET)}", "Content-Type": "application/json"}
            connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except OSError:
            return 0, {}
        finally:
            connection.close()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
        self._log.close()


def warm(service: Service) -> None:
    """Make every thread open its connection."""
    for _ in range(8):
        assert service.request("GET", "/api/tasks")[0] == 200


@pytest.fixture(scope="module", params=DRIVERS)
def database(request: pytest.FixtureRequest, server: Server) -> str:
    return server.create(python_driver=request.param, migrate=("tasks",))


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    proxy = Proxy(server.address())
    proxy.work()
    yield proxy
    proxy.cut()


@pytest.fixture
def start(server: Server, database: str, proxy: Proxy, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    services: list[Service] = []

    def starter(address: str = database) -> Service:
        url = urlsplit(address)
        credentials = url.netloc.rpartition("@")[0]
        env = {
            **server.env,
            "PATH": os.defpath,
            "DATABASE_URL": url._replace(netloc=f"{credentials}@127.0.0.1:{proxy.port}").geturl(),
            # Nothing listens there; the service works without Redis.
            "REDIS_URL": f"unix://{tmp_path}/redis.sock",
            # Debug level includes the probes' requests.
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "debug",
            **new_secrets(SECRET),
        }
        services.append(Service(tmp_path, env))
        return services[-1]

    yield starter
    for service in services:
        service.stop()
