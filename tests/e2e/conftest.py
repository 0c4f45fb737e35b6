"""One real stack for the whole suite: `make up` on a free port with a state folder of its own.

With STACK=containers it is the one that `make docker-up` starts.
"""

import dataclasses
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import jwt
import psutil
import pytest
import requests
from compose import Project, wait_for

CHECKOUT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery staple"
READY_WITHIN_SECONDS = 90
STOPPED_WITHIN_SECONDS = 20


@dataclasses.dataclass
class Stack:
    """A running stack: its address, its secrets, what it was started with, and every line that it has printed."""

    url: str
    secret: str
    state: Path
    process: subprocess.Popen[str]
    lines: list[str]
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    # What a process needs to find the stack's database, besides STATE_DIR.
    database: dict[str, str] = dataclasses.field(default_factory=dict)
    # Where a client on this machine comes from, as the gateway sees it.
    client_address: str = "127.0.0.1"

    def call(self, method: str, path: str, *, token: str | None = None, **arguments: Any) -> requests.Response:
        """One request. Waits where the gateway asks for it, as a client should."""
        headers = arguments.pop("headers", {})
        if token is not None:
            headers = {"Authorization": f"Bearer {token}", **headers}
        while True:
            answer = requests.request(
                method, self.url + path, headers=headers, timeout=30, allow_redirects=False, **arguments
            )
            if answer.status_code != 429:
                return answer
            time.sleep(int(answer.headers["Retry-After"]))

    def send(self, method: str, path: str, body: bytes, *, token: str, content_type: str) -> requests.Response:
        """One request with a body of raw bytes."""
        return self.call(method, path, token=token, data=body, headers={"Content-Type": content_type})

    def pids_of(self, program: str) -> list[int]:
        """The processes of this stack whose command line holds the word."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [child.pid for child in family if any(program in part for part in child.cmdline())]

    def connect(self, service: str) -> socket.socket:
        """To the service itself, behind the gateway."""
        [pid, *_] = self.pids_of(f"{service}.sock")
        command = psutil.Process(pid).cmdline()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        connection.connect(command[command.index("--uds") + 1])
        return connection

    @contextmanager
    def frozen_redis(self) -> Iterator[None]:
        """Redis accepts connections and does not answer."""
        [redis] = self.pids_of("redis-server")
        os.kill(redis, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(redis, signal.SIGCONT)

    @contextmanager
    def locked_database(self) -> Iterator[None]:
        """Another process is in the middle of a write."""
        with closing(sqlite3.connect(self.state / "db.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    def show_tasks(self) -> str:
        """What manage.py show_tasks --once prints."""
        return subprocess.run(
            [CHECKOUT / "var/env/tasks/bin/python", "manage.py", "show_tasks", "--once"],
            cwd=CHECKOUT / "services/tasks",
            env={
                "STATE_DIR": str(self.state),
                **self.database,
                "JWT_KEYS": f"e2e:{self.secret}",
                "REDIS_URL": "redis://nowhere.invalid",
                "TASKS_SECRET_KEY": "not the stack's, and long enough for one",
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout

    def printed(self, predicate: Callable[[str], bool], *, within: float) -> str:
        """The first line for which the predicate holds; fails when none is printed in time (seconds)."""
        return wait_for(lambda: next((line for line in list(self.lines) if predicate(line)), None), within=within)

    def log(self) -> list[dict[str, Any]]:
        """The JSON lines of the services and the gateway."""
        texts = [line.partition("| ")[2] for line in list(self.lines)]
        return [json.loads(text) for text in texts if text.startswith("{")]


class ContainerStack(Stack):
    """The stack of `make docker-up`."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.url, self.secret = project.url, project.secret
        [gateway] = project.inspect(*project.containers("gateway"))
        self.client_address = gateway["NetworkSettings"]["Networks"][f"{project.name}_edge"]["Gateway"]

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


@dataclasses.dataclass(frozen=True)
class Account:
    """A registered user with tokens."""

    id: int
    username: str
    access: str
    refresh: str


class Seconds(int):
    """A time in a claim, counted from the moment when the token is made."""


@contextmanager
def running_stack(state: Path, *, database: dict[str, str] | None = None, **changes: str) -> Iterator[Stack]:
    """A stack of its own in the folder; ``changes`` to its environment, and where its database is if not there."""
    database = database or {}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    secret = secrets.token_urlsafe(48)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))},
        # All that matters, since .env adds what is not here: it may name a database and a broker that are in use.
        "DATABASE_URL": f"sqlite:///{state}/db.sqlite3",
        # The stack's own, in the form in which it would choose it.
        "REDIS_URL": f"unix://{state}/run/redis.sock",
        "AUTH_RATE_LIMIT": "10",
        "LOG_LEVEL": "INFO",
        "STATE_DIR": str(state),
        "GATEWAY_PORT": str(port),
        "JWT_KEYS": f"e2e:{secret}",
        "LOG_FORMAT": "json",
        "REPORT_USER_ID": "1",
        **changes,
        **database,
    }
    process = subprocess.Popen(
        ["make", "up"],
        cwd=CHECKOUT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True)
    reader.start()
    running = Stack(
        url=f"http://127.0.0.1:{port}",
        secret=secret,
        state=state,
        environment=environment,
        process=process,
        lines=lines,
        database=database,
    )
    try:
        running.printed(lambda line: line.startswith("Ready:"), within=READY_WITHIN_SECONDS)
    except AssertionError:
        os.killpg(process.pid, signal.SIGTERM)
        pytest.fail("the stack did not start:\n" + "".join(lines[-40:]))
    yield running
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=STOPPED_WITHIN_SECONDS)
    reader.join(timeout=5)
    process.stdout.close()


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Stack:
    if os.environ.get("STACK") == "containers":
        return ContainerStack(request.getfixturevalue("project"))
    return request.getfixturevalue("local_stack")


@pytest.fixture(scope="session")
def local_stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    database, logins = {}, {}
    if request.config.getoption("sqlserver"):
        server = request.getfixturevalue("server")
        database = {"DATABASE_URL": server.made(), **server.env}
        logins = server.logins(database["DATABASE_URL"])
    with running_stack(tmp_path_factory.mktemp("state"), database=database, **logins) as running:
        yield running


@pytest.fixture(scope="session")
def first(stack: Stack) -> Account:
    """User 1, whose tasks the scheduler reports."""
    account = make_account(stack, "first")
    assert account.id == 1
    return account


@pytest.fixture(scope="session")
def ada(stack: Stack, first: Account) -> Account:
    return make_account(stack, "ada")


@pytest.fixture(scope="session")
def eve(stack: Stack, first: Account) -> Account:
    return make_account(stack, "eve")


@pytest.fixture
def task(stack: Stack, ada: Account) -> dict[str, Any]:
    return stack.call("POST", "/api/tasks", token=ada.access, json={"title": "Read", "duration": 30}).json()


@pytest.fixture
def forge(stack: Stack) -> Callable[..., str]:
    """Makes an access token with the stack's own key. What is given stands in it; a claim that is None is left out."""

    def make(
        *, header: dict[str, Any] | None = None, key: str = stack.secret, algorithm: str = "HS256", **claims: Any
    ) -> str:
        now = int(time.time())
        payload = {
            "iss": "auth",
            "aud": "task-api",
            "token_type": "access",
            "user_id": "1",
            "sid": str(uuid.uuid4()),
            "jti": uuid.uuid4().hex,
            "iat": now,
            "exp": now + 300,
            "is_staff": False,
            **claims,
        }
        headers = {"kid": "e2e", **(header or {})}
        return jwt.encode(
            {
                name: now + value if isinstance(value, Seconds) else value
                for name, value in payload.items()
                if value is not None
            },
            key,
            algorithm=algorithm,
            headers={name: value for name, value in headers.items() if value is not None},
        )

    return make


def make_account(stack: Stack, name: str) -> Account:
    body = {"username": name, "password": PASSWORD}
    user = stack.call("POST", "/api/auth/register", json=body)
    assert user.status_code == 201, user.text
    tokens = stack.call("POST", "/api/auth/token", json=body).json()
    return Account(id=user.json()["id"], username=name, access=tokens["access"], refresh=tokens["refresh"])
