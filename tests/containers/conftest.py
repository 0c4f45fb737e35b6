"""A client of the stack in containers, and a load generator that records the outcome of each request."""

import dataclasses
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from support.accounts import PASSWORD
from support.compose import Project


@dataclasses.dataclass
class Client:
    """A user of the stack with an access token."""

    project: Project
    username: str = dataclasses.field(default_factory=lambda: f"user-{uuid.uuid4().hex[:12]}")
    refresh: str = ""
    access: str = ""

    def register(self) -> "Client":
        body = {"username": self.username, "password": PASSWORD}
        assert self.project.request("POST", "/api/auth/register", json=body).status_code == 201
        return self.log_in()

    def log_in(self) -> "Client":
        body = {"username": self.username, "password": PASSWORD}
        response = self.project.request("POST", "/api/auth/token", json=body)
        assert response.status_code == 200, response.text
        self.access, self.refresh = response.json()["access"], response.json()["refresh"]
        return self

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access}"}

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        return self.project.request(method, path, headers=self.headers, **arguments)

    def create(self, title: str) -> requests.Response:
        return self.call("POST", "/api/tasks", json={"title": title, "duration": 1})

    def titles(self) -> list[str]:
        """Return the titles of all the user's tasks."""
        found: list[str] = []
        path = "/api/tasks?limit=100"
        while path:
            response = self.call("GET", path)
            found += [task["title"] for task in response.json()]
            path = response.links.get("next", {}).get("url", "").removeprefix(self.project.url)
        return found


@dataclasses.dataclass
class Load:
    """The outcomes of a load: the number of responses by status, and the requests without a response."""

    statuses: Counter[int] = dataclasses.field(default_factory=Counter)
    broken: list[str] = dataclasses.field(default_factory=list)
    # The titles sent by POSTs, and those acknowledged by a 201.
    attempted: list[str] = dataclasses.field(default_factory=list)
    acknowledged: list[str] = dataclasses.field(default_factory=list)
    slowest: float = 0.0

    def __str__(self) -> str:
        return (
            f"{sum(self.statuses.values())} responses {dict(self.statuses)}, {len(self.broken)} without a response,"
            f" slowest {self.slowest:.2f} s"
        )


@contextmanager
def load(send: Callable[[requests.Session, Load], requests.Response], *, clients: int = 4) -> Iterator[Load]:
    """Send requests from several concurrent clients while the block runs; each sends one at a time."""
    seen, stop, lock = Load(), threading.Event(), threading.Lock()

    def work() -> None:
        with requests.Session() as session:
            while not stop.is_set():
                started = time.monotonic()
                try:
                    status = send(session, seen).status_code
                except requests.RequestException as error:
                    with lock:
                        seen.broken.append(type(error).__name__)
                    session.close()
                    time.sleep(0.05)
                else:
                    with lock:
                        seen.statuses[status] += 1
                with lock:
                    seen.slowest = max(seen.slowest, time.monotonic() - started)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=60)


def reads(client: Client) -> Callable[[requests.Session, Load], requests.Response]:
    def send(session: requests.Session, seen: Load) -> requests.Response:
        return session.get(client.project.url + "/api/tasks", headers=client.headers, timeout=30)

    return send


def creates(client: Client) -> Callable[[requests.Session, Load], requests.Response]:
    def send(session: requests.Session, seen: Load) -> requests.Response:
        title = uuid.uuid4().hex
        seen.attempted.append(title)
        body = {"title": title, "duration": 1}
        response = session.post(client.project.url + "/api/tasks", headers=client.headers, json=body, timeout=30)
        if response.status_code == 201:
            seen.acknowledged.append(title)
        return response

    return send


def probe(project: Project, part: str) -> int:
    """Run the part's own health check now; return its exit code."""
    [container] = project.inspect(*project.containers(part))
    kind, *test = container["Config"]["Healthcheck"]["Test"]
    command = ["sh", "-c", *test] if kind == "CMD-SHELL" else test
    output = project.execute(part, "sh", "-c", '"$@" >/dev/null 2>&1; echo $?', "check", *command)
    return int(output)


@pytest.fixture
def client(project: Project) -> Client:
    return Client(project).register()
