"""A new key for the tokens: `make rotate-key` on a running stack under constant load."""

import collections
import contextlib
import os
import re
import secrets
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import jwt
import psutil
import pytest
import requests

from support.accounts import PASSWORD, log_in, register
from support.commands import Completed, launcher, output_of, run_launcher
from support.environment import without_project
from support.paths import make_checkout
from support.ports import free_port
from support.stack import LocalStack
from support.waiting import wait_until

STAFF = "staff"
# On SIGHUP, granian replaces its workers one by one, starting each 3.5 s before it stops the old one.
RESTARTED_WITHIN_SECONDS = 30
# Each client first finishes its current requests, which may take long on a busy machine.
RENEWED_WITHIN_SECONDS = 120


class Rotating(LocalStack):
    """A stack in a checkout with its own .env, so that its keys can be rotated."""

    def rotate(self, *arguments: str) -> Completed:
        return run_launcher("rotate-key", *arguments, checkout=self.checkout, env=self.environment)

    def servers(self) -> list[psutil.Process]:
        """Return the three granian servers, whose children are the workers."""
        return self.parts("bin/granian")

    def restart_workers(self) -> None:
        """Restart every service's workers one by one; return once each has been replaced."""
        servers = self.servers()
        assert len(servers) == 3
        before = {worker for server in servers for worker in server.children()}
        for server in servers:
            server.send_signal(signal.SIGHUP)

        def replaced() -> bool:
            workers = {worker for server in servers for worker in server.children()}
            return len(workers) >= 6 and not workers & before

        wait_until(replaced, timeout=RESTARTED_WITHIN_SECONDS)

    def keys(self) -> dict[str, str]:
        """Return the keys of .env by kid, the signing key first."""
        (line,) = re.findall("^JWT_KEYS=(.*)$", (self.checkout / ".env").read_text(), re.MULTILINE)
        return dict(entry.split(":") for entry in line.split(","))

    def log_in(self, username: str) -> dict[str, str]:
        return log_in(self, username)

    def refresh(self, token: str) -> requests.Response:
        return self.call("POST", "/api/auth/token/refresh", json={"refresh": token})


@pytest.fixture
def rotating(tmp_path: Path) -> Iterator[Rotating]:
    checkout = make_checkout(tmp_path / "checkout")
    environment = without_project() | {
        "STATE_DIR": str(tmp_path / "state"),
        "GATEWAY_PORT": str(free_port()),
        "METRICS_PORT": str(free_port()),
        "AUTH_RATE_LIMIT": "1000",
        "LOG_LEVEL": "WARNING",
    }
    command = launcher("up")
    stack = Rotating(tmp_path / "state", env=environment, command=command, checkout=checkout)
    staff = {
        "DJANGO_SUPERUSER_USERNAME": STAFF,
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "DJANGO_SUPERUSER_EMAIL": "staff@example.com",
    }
    create = ("auth", "python", "manage.py", "createsuperuser", "--noinput")
    try:
        stack.wait_until_ready()
        output_of(run_launcher("run", *create, checkout=checkout, env=environment | staff))
        yield stack
        stack.stop()
    finally:
        stack.end()


class Load:
    """Clients under continuous load, and the counts of each request's statuses and exceptions."""

    def __init__(self, stack: Rotating) -> None:
        self._stack = stack
        self._ended = threading.Event()
        self._generation = 0
        self._generations: dict[int, int] = {}
        self._clients: list[Future[None]] = []
        self._lock = threading.Lock()
        self.counts: collections.Counter[tuple[str, int | str]] = collections.Counter()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        # A user has at most 100 sessions, so the client that logs in repeatedly has its own user.
        for name in ("reader", "visitor"):
            register(self._stack, name)
        clients = [(self._read, "reader")] * 2 + [(self._write, "reader"), (self._list_jobs, STAFF)]
        clients += [(self._log_in, "visitor")] + [(self._refresh, "reader")] * 2
        self._generations = dict.fromkeys(range(len(clients)), 0)
        # One after the other: auth refuses logins that wait too long for a password hash with a 503.
        pairs = [self._stack.log_in(username) for _, username in clients]
        with ThreadPoolExecutor(len(clients)) as pool:
            self._clients = [
                pool.submit(self._repeat, number, work, pair)
                for number, ((work, _), pair) in enumerate(zip(clients, pairs, strict=True))
            ]
            try:
                yield
            finally:
                self._ended.set()
                print(f"\n{sum(self.counts.values())} requests:")
                for (name, outcome), count in sorted(self.counts.items(), key=str):
                    print(f"  {name:30} {outcome} {count}")
        self._raise_failures()

    def _raise_failures(self) -> None:
        for client in self._clients:
            if client.done():
                client.result()

    def renew(self) -> None:
        """Make every client refresh its tokens, as within an access token's five minutes; return once all have."""
        self._generation += 1

        def all_renewed() -> bool:
            self._raise_failures()
            return set(self._generations.values()) == {self._generation}

        wait_until(all_renewed, timeout=RENEWED_WITHIN_SECONDS, what=lambda: f"all have renewed: {self._generations}")

    def outcomes(self) -> collections.Counter[int | str]:
        total: collections.Counter[int | str] = collections.Counter()
        for (_, outcome), count in list(self.counts.items()):
            total[outcome] += count
        return total

    def _repeat(
        self,
        number: int,
        work: Callable[[requests.Session, dict[str, str]], dict[str, str]],
        pair: dict[str, str],
    ) -> None:
        with requests.Session() as session:
            while not self._ended.is_set():
                if (generation := self._generation) > self._generations[number]:
                    pair = self._refresh(session, pair)
                    self._generations[number] = generation
                pair = work(session, pair)

    def _request(
        self, session: requests.Session, method: str, path: str, token: str | None = None, **body: object
    ) -> requests.Response | None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response, outcome = None, "?"
        try:
            response = session.request(method, self._stack.url + path, headers=headers, json=body or None, timeout=30)
            outcome = response.status_code
        except requests.RequestException as error:
            outcome = type(error).__name__
        with self._lock:
            self.counts[f"{method} {path}", outcome] += 1
        return response

    def _read(self, session: requests.Session, pair: dict[str, str]) -> dict[str, str]:
        self._request(session, "GET", "/api/tasks", pair["access"])
        self._request(session, "GET", "/api/auth/me", pair["access"])
        time.sleep(0.005)
        return pair

    def _write(self, session: requests.Session, pair: dict[str, str]) -> dict[str, str]:
        self._request(session, "POST", "/api/tasks", pair["access"], title="Read", duration=5)
        time.sleep(0.02)
        return pair

    def _list_jobs(self, session: requests.Session, pair: dict[str, str]) -> dict[str, str]:
        self._request(session, "GET", "/api/jobs", pair["access"])
        time.sleep(0.01)
        return pair

    def _log_in(self, session: requests.Session, pair: dict[str, str]) -> dict[str, str]:
        response = self._request(session, "POST", "/api/auth/token", username="visitor", password=PASSWORD)
        return self._use(session, response, pair, pause=0.2)

    def _refresh(self, session: requests.Session, pair: dict[str, str]) -> dict[str, str]:
        response = self._request(session, "POST", "/api/auth/token/refresh", refresh=pair["refresh"])
        return self._use(session, response, pair, pause=0.02)

    def _use(
        self, session: requests.Session, response: requests.Response | None, pair: dict[str, str], *, pause: float
    ) -> dict[str, str]:
        """Return the new tokens, if any, after using them: other services' processes must accept them immediately."""
        if response is not None and response.status_code == 200:
            pair = response.json()
            self._request(session, "GET", "/api/tasks", pair["access"])
            self._request(session, "GET", "/api/auth/sessions", pair["access"])
        time.sleep(pause)
        return pair


def let_a_week_pass(stack: Rotating) -> None:
    """Backdate the keys' files, so that the command sees keys that are a week old."""
    for path in (stack.checkout / ".env", stack.state / "run/jwt-keys"):
        then = path.stat().st_mtime - 7 * 24 * 60 * 60
        os.utime(path, (then, then))


def kid_of(token: str) -> str:
    return jwt.get_unverified_header(token)["kid"]


@pytest.mark.parametrize("restarts", [False, True], ids=["no restart", "rolling restarts"])
def test_no_request_is_lost_in_the_three_steps(rotating: Rotating, restarts: bool) -> None:
    load = Load(rotating)
    [old] = rotating.keys()
    with load.running():
        for step in ("prepare", "activate", "retire"):
            if step == "retire":
                load.renew()
                let_a_week_pass(rotating)
            time.sleep(2)
            result = rotating.rotate(step)
            assert result.returncode == 0, result.stderr
            if restarts:
                rotating.restart_workers()
            time.sleep(2)

    [new] = rotating.keys()
    assert new != old
    assert kid_of(rotating.log_in("reader")["access"]) == new
    outcomes = load.outcomes()
    assert outcomes[200] + outcomes[201] > 1000
    # nginx does not resend a POST that meets a worker's closing connection (docs/key-rotation.md). A rotation alone
    # closes no connections.
    lost_to_restarts = (
        {key for key in load.counts if key[1] == 502 and key[0].startswith("POST")} if restarts else set()
    )
    assert sum(load.counts[key] for key in lost_to_restarts) <= 2
    assert {key for key in load.counts if key[1] not in (200, 201)} == lost_to_restarts


def test_the_load_notices_a_key_that_was_not_prepared(rotating: Rotating) -> None:
    """The test above can fail: here the new key signs before every process has read it."""
    load = Load(rotating)
    published = rotating.state / "run/jwt-keys"
    with load.running():
        for attempt in range(10):
            time.sleep(1.5)
            text = f"unprepared-{attempt}:{secrets.token_urlsafe(48)},{published.read_text()}"
            (published.parent / "new").write_text(text)
            (published.parent / "new").rename(published)
            time.sleep(1.5)
            if load.outcomes()[401]:
                break
    assert load.outcomes()[401]


def test_what_the_old_key_signed_works_until_it_is_retired(rotating: Rotating) -> None:
    register(rotating, "user")
    used, unused = rotating.log_in("user"), rotating.log_in("user")
    jobs = rotating.log_in(STAFF)["access"]
    calls = [("/api/tasks", used["access"]), ("/api/auth/me", used["access"]), ("/api/jobs", jobs)]

    def statuses() -> set[int]:
        return {rotating.call("GET", path, token=token).status_code for path, token in calls for _ in range(8)}

    for step in ("prepare", "activate"):
        assert rotating.rotate(step).returncode == 0
        assert statuses() == {200}
    response = rotating.refresh(used["refresh"])
    assert response.status_code == 200
    [new, _] = rotating.keys()
    assert kid_of(response.json()["refresh"]) == kid_of(response.json()["access"]) == new
    refused = rotating.rotate("retire")
    assert refused.returncode == 1
    assert "may be valid until" in refused.stderr
    assert statuses() == {200}

    assert rotating.rotate("retire", "--force").returncode == 0

    assert statuses() == {401}
    assert rotating.refresh(unused["refresh"]).status_code == 401
    assert rotating.refresh(response.json()["refresh"]).status_code == 200
    # No process has the keys in its environment, and the file is readable only by its owner.
    assert stat.S_IMODE((rotating.state / "run/jwt-keys").stat().st_mode) == 0o600
    for server in rotating.servers():
        for process in (server, *server.children()):
            assert "JWT_KEYS" not in process.environ()
            assert process.environ()["JWT_KEYS_FILE"] == str(rotating.state / "run/jwt-keys")


def test_no_step_is_taken_before_every_service_has_the_last_one(rotating: Rotating) -> None:
    assert rotating.rotate("prepare").returncode == 0
    [old, new] = rotating.keys()
    written = (rotating.checkout / ".env").read_bytes()
    stopped = rotating.part("tasks.sock").children()
    for worker in stopped:
        worker.suspend()
    try:
        result = rotating.rotate("activate")
    finally:
        for worker in stopped:
            worker.resume()
    assert (result.returncode, result.stdout) == (1, "")
    assert "tasks does not respond" in result.stderr
    assert (rotating.checkout / ".env").read_bytes() == written
    # As if a command was killed between writing .env and the services' copy: the next one first publishes the key.
    (rotating.state / "run/jwt-keys").write_text(f"{old}:{rotating.keys()[old]}")
    time.sleep(1.5)
    assert rotating.rotate("activate").returncode == 0
    assert list(rotating.keys()) == [new, old]
    # Keys that the services have never used are not published.
    (rotating.checkout / ".env").write_text(f"JWT_KEYS=other:{secrets.token_urlsafe(48)}\n")
    result = rotating.rotate()
    assert (result.returncode, result.stdout) == (1, "")
    assert "the running stack's keys differ from those in .env" in result.stderr
