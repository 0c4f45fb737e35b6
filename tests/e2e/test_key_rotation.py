"""A new key for the tokens while people work: `make rotate-key` on a running stack that is under constant load."""

import collections
import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import psutil
import pytest
import requests

from .conftest import CHECKOUT, PASSWORD, READY_WITHIN_SECONDS, STOPPED_WITHIN_SECONDS, Stack, make_account, wait_for

PYTHON = CHECKOUT / "var/env/local/bin/python"
STAFF = "staff"
# A granian that is told to reload starts each new worker 3.5 s before it stops the old one, one after the other.
RESTARTED_WITHIN_SECONDS = 30


class Rotating(Stack):
    """A stack in a checkout with a .env of its own, whose keys can be rotated."""

    checkout: Path

    def rotate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PYTHON, self.checkout / "local/rotate_key.py", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def servers(self) -> list[psutil.Process]:
        """The three granians, whose children are the workers."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        granians = [child for child in family if any("bin/granian" in part for part in child.cmdline())]
        return [granian for granian in granians if granian.parent() not in granians]

    def restart_workers(self) -> None:
        """A rolling restart of every service: returns when each worker has been replaced."""
        servers = self.servers()
        assert len(servers) == 3
        before = {worker for server in servers for worker in server.children()}
        for server in servers:
            server.send_signal(signal.SIGHUP)

        def replaced() -> bool | None:
            workers = {worker for server in servers for worker in server.children()}
            return (len(workers) >= 6 and not workers & before) or None

        wait_for(replaced, within=RESTARTED_WITHIN_SECONDS)

    def keys(self) -> dict[str, str]:
        """The keys of .env by their kids, the signing one first."""
        (line,) = re.findall("^JWT_KEYS=(.*)$", (self.checkout / ".env").read_text(), re.MULTILINE)
        return dict(entry.split(":") for entry in line.split(","))

    def log_in(self, username: str) -> dict[str, str]:
        return self.call("POST", "/api/auth/token", json={"username": username, "password": PASSWORD}).json()

    def refresh(self, token: str) -> requests.Response:
        return self.call("POST", "/api/auth/token/refresh", json={"refresh": token})


@pytest.fixture
def rotating(tmp_path: Path) -> Iterator[Rotating]:
    checkout, state = tmp_path / "checkout", tmp_path / "state"
    for name in ("local", "nginx", "console"):
        shutil.copytree(CHECKOUT / name, checkout / name)
    for name in ("Procfile", ".env.example"):
        shutil.copy(CHECKOUT / name, checkout)
    (checkout / "services").symlink_to(CHECKOUT / "services")
    (checkout / "var").mkdir()
    (checkout / "var/env").symlink_to(CHECKOUT / "var/env")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    example = set(re.findall(r"^(?:# )?([A-Z_]+)=", (checkout / ".env.example").read_text(), re.MULTILINE))
    environment = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in example} | {
        "STATE_DIR": str(state),
        "GATEWAY_PORT": str(port),
        "AUTH_RATE_LIMIT": "1000",
        "LOG_LEVEL": "WARNING",
    }
    process = subprocess.Popen(
        [PYTHON, checkout / "local/up.py"],
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
    stack = Rotating(url=f"http://127.0.0.1:{port}", secret="", state=state, process=process, lines=lines)
    stack.checkout, stack.environment = checkout, environment
    try:
        stack.printed(lambda line: line.startswith("Ready:"), within=READY_WITHIN_SECONDS)
        subprocess.run(
            [PYTHON, checkout / "local/run.py", "auth", "python", "manage.py", "createsuperuser", "--noinput"],
            env=environment
            | {
                "DJANGO_SUPERUSER_USERNAME": STAFF,
                "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
                "DJANGO_SUPERUSER_EMAIL": "staff@example.com",
            },
            capture_output=True,
            check=True,
        )
        yield stack
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=STOPPED_WITHIN_SECONDS)
        reader.join(timeout=5)
        process.stdout.close()


class Load:
    """Clients that never stop, and what each of their requests came to: a status, or the name of an exception."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._ended = threading.Event()
        self._asked_to_renew = 0
        self._lock = threading.Lock()
        self.counts: collections.Counter[tuple[str, int | str]] = collections.Counter()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        # Of the sessions of one user only the last hundred live; who logs in all the time needs a user for that.
        for name in ("reader", "visitor"):
            make_account(self._stack, name)
        clients = [(self._read, "reader")] * 2 + [(self._write, "reader"), (self._list_jobs, STAFF)]
        clients += [(self._log_in, "visitor")] + [(self._refresh, "reader")] * 2
        self._renewed = threading.Barrier(len(clients) + 1)
        threads = [threading.Thread(target=self._repeat, args=client) for client in clients]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()
            print(f"\n{sum(self.counts.values())} requests:")
            for (name, outcome), count in sorted(self.counts.items(), key=str):
                print(f"  {name:30} {outcome} {count}")

    def renew(self) -> None:
        """What the five minutes of an access token come to: every client has new tokens when this returns."""
        self._asked_to_renew += 1
        self._renewed.wait(timeout=30)

    def outcomes(self) -> collections.Counter[int | str]:
        total: collections.Counter[int | str] = collections.Counter()
        for (_, outcome), count in list(self.counts.items()):
            total[outcome] += count
        return total

    def _repeat(self, work: Callable[[requests.Session, dict[str, str]], dict[str, str]], username: str) -> None:
        pair = self._stack.log_in(username)
        renewed = 0
        with requests.Session() as session:
            while not self._ended.is_set():
                if renewed < self._asked_to_renew:
                    pair = self._refresh(session, pair)
                    renewed += 1
                    self._renewed.wait(timeout=30)
                pair = work(session, pair)

    def _ask(
        self, session: requests.Session, method: str, path: str, token: str | None = None, **body: object
    ) -> requests.Response | None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer, outcome = None, "?"
        try:
            answer = session.request(method, self._stack.url + path, headers=headers, json=body or None, timeout=30)
            outcome = answer.status_code
        except requests.RequestException as error:
            outcome = type(error).__name__
        with self._lock:
            self.counts[f"{method} {path}", outcome] += 1
        return answer

    def _read(self, session: requests.Session, pair: dict[str, str]) -> dict[str, str]:
        self._ask(session, "GET", "/api/tasks", pair["access"])
        self._ask(session, "GET", "/api/auth/me", pair["access"])
        time.sleep(0.005)
        return pair

    def _write(self, session: requests.Session, pair: dict[str, str]) -> dict[str, str]:
        self._ask(session, "POST", "/api/tasks", pair["access"], title="Read", duration=5)
        time.sleep(0.02)
        return pair

    def _list_jobs(self, session: requests.Session, pair: dict[str, str]) -> dict[str, str]:
        self._ask(session, "GET", "/api/jobs", pair["access"])
        time.sleep(0.01)
        return pair

    def _log_in(self, session: requests.Session, pair: dict[str, str]) -> dict[str, str]:
        answer = self._ask(session, "POST", "/api/auth/token", username="visitor", password=PASSWORD)
        return self._use(session, answer, pair, pause=0.2)

    def _refresh(self, session: requests.Session, pair: dict[str, str]) -> dict[str, str]:
        answer = self._ask(session, "POST", "/api/auth/token/refresh", refresh=pair["refresh"])
        return self._use(session, answer, pair, pause=0.02)

    def _use(
        self, session: requests.Session, answer: requests.Response | None, pair: dict[str, str], *, pause: float
    ) -> dict[str, str]:
        """What one process has just signed, the processes of the others must know."""
        if answer is not None and answer.status_code == 200:
            pair = answer.json()
            self._ask(session, "GET", "/api/tasks", pair["access"])
            self._ask(session, "GET", "/api/auth/sessions", pair["access"])
        time.sleep(pause)
        return pair


def let_a_week_pass(stack: Rotating) -> None:
    """As the command sees it: the keys were changed that long ago."""
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
    # nginx sends a POST that meets the closing connection of a worker no second time (docs/key-rotation.md); a rotation
    # by itself closes no connection.
    lost_to_restarts = (
        {key for key in load.counts if key[1] == 502 and key[0].startswith("POST")} if restarts else set()
    )
    assert sum(load.counts[key] for key in lost_to_restarts) <= 2
    assert {key for key in load.counts if key[1] not in (200, 201)} == lost_to_restarts


def test_the_load_notices_a_key_that_was_not_prepared(rotating: Rotating) -> None:
    """That the test above can fail: the new key signs before every process knows it."""
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
    make_account(rotating, "user")
    used, unused = rotating.log_in("user"), rotating.log_in("user")
    jobs = rotating.log_in(STAFF)["access"]
    calls = [("/api/tasks", used["access"]), ("/api/auth/me", used["access"]), ("/api/jobs", jobs)]

    def statuses() -> set[int]:
        return {rotating.call("GET", path, token=token).status_code for path, token in calls for _ in range(8)}

    for step in ("prepare", "activate"):
        assert rotating.rotate(step).returncode == 0
        assert statuses() == {200}
    answer = rotating.refresh(used["refresh"])
    assert answer.status_code == 200
    [new, _] = rotating.keys()
    assert kid_of(answer.json()["refresh"]) == kid_of(answer.json()["access"]) == new
    refused = rotating.rotate("retire")
    assert refused.returncode == 1
    assert "may be valid until" in refused.stderr
    assert statuses() == {200}

    assert rotating.rotate("retire", "--force").returncode == 0

    assert statuses() == {401}
    assert rotating.refresh(unused["refresh"]).status_code == 401
    assert rotating.refresh(answer.json()["refresh"]).status_code == 200
    # No process has the keys in its environment, and the file is its owner's alone.
    assert stat.S_IMODE((rotating.state / "run/jwt-keys").stat().st_mode) == 0o600
    for server in rotating.servers():
        for process in (server, *server.children()):
            assert "JWT_KEYS" not in process.environ()
            assert process.environ()["JWT_KEYS_FILE"] == str(rotating.state / "run/jwt-keys")


def test_no_step_is_taken_before_every_service_has_the_last_one(rotating: Rotating) -> None:
    assert rotating.rotate("prepare").returncode == 0
    [old, new] = rotating.keys()
    written = (rotating.checkout / ".env").read_bytes()
    [tasks] = [server for server in rotating.servers() if any("tasks.sock" in part for part in server.cmdline())]
    stopped = tasks.children()
    for worker in stopped:
        worker.suspend()
    try:
        result = rotating.rotate("activate")
    finally:
        for worker in stopped:
            worker.resume()
    assert (result.returncode, result.stdout) == (1, "")
    assert "tasks does not answer" in result.stderr
    assert (rotating.checkout / ".env").read_bytes() == written
    # A command that was killed between .env and the services' copy: the next one hands the key on first.
    (rotating.state / "run/jwt-keys").write_text(f"{old}:{rotating.keys()[old]}")
    time.sleep(1.5)
    assert rotating.rotate("activate").returncode == 0
    assert list(rotating.keys()) == [new, old]
    # Keys that the services have never seen are not handed to them.
    (rotating.checkout / ".env").write_text(f"JWT_KEYS=other:{secrets.token_urlsafe(48)}\n")
    result = rotating.rotate()
    assert (result.returncode, result.stdout) == (1, "")
    assert "the running stack has other keys than .env" in result.stderr
