"""Sentinels: the effects of a lost master on clients, ticks and ended sessions."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.accounts import log_in, register
from support.redis_server import RedisServer, running_redis
from support.stack import LocalStack, running_stack
from support.waiting import wait_until

PASSWORD = "for-tests"
DOWN_AFTER_SECONDS = 2
BACK_WITHIN_SECONDS = 15


class Cluster:
    """A master, a replica, and three Sentinels that watch them."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        login = ("--requirepass", PASSWORD, "--masterauth", PASSWORD)
        self.master = running.enter_context(running_redis(folder / "one", *login))
        replica = ("--replicaof", "127.0.0.1", str(self.master.port))
        self.replica = running.enter_context(running_redis(folder / "two", *login, *replica))
        self.sentinels = [self._sentinel(folder / f"sentinel-{number}") for number in range(3)]
        for sentinel in self.sentinels:
            running.callback(sentinel.end)
        # They find each other and the replica through the master.
        wait_until(self._is_watched, timeout=30, what="three Sentinels have found each other and the replica")

    def _sentinel(self, folder: Path) -> RedisServer:
        configuration = folder.with_suffix(".conf")
        configuration.write_text(
            f"sentinel monitor tasks 127.0.0.1 {self.master.port} 2\n"
            f"sentinel auth-pass tasks {PASSWORD}\n"
            f"sentinel down-after-milliseconds tasks {DOWN_AFTER_SECONDS * 1000}\n"
            "sentinel failover-timeout tasks 10000\n"
        )
        return RedisServer(folder, str(configuration), "--sentinel")

    def _is_watched(self) -> bool:
        states = [sentinel.client().sentinel_master("tasks") for sentinel in self.sentinels]
        return all((state["num-other-sentinels"], state["num-slaves"]) == (2, 1) for state in states)

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/tasks/0"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as running:
        yield Cluster(tmp_path / "", running)


@pytest.fixture
def stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with running_stack(tmp_path_factory.mktemp("state"), REDIS_URL=cluster.url) as running:
        yield running


class Load:
    """A client that creates tasks while the block runs."""

    def __init__(self, stack: LocalStack, token: str) -> None:
        self._stack, self._token = stack, token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        # The status and duration in seconds of each request.
        self.results: list[tuple[int, float]] = []

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            started = time.monotonic()
            body = {"title": "during a failover", "duration": 1}
            response = self._stack.call("POST", "/api/tasks", token=self._token, json=body)
            self.results.append((response.status_code, time.monotonic() - started))


def finished_jobs(stack: LocalStack) -> int:
    return sum(entry["message"] == "job" for entry in stack.log())


def test_failover_fails_no_request_and_loses_no_ended_session_and_no_tick(cluster: Cluster, stack: LocalStack) -> None:
    user = register(stack, "failover-user")
    ended = log_in(stack, user.username)["access"]
    access = user.access
    session = next(each for each in stack.call("GET", "/api/auth/sessions", token=ended).json() if each["current"])
    wait_until(lambda: finished_jobs(stack), timeout=20, what="the first tick has run")

    with Load(stack, access) as load:
        before = finished_jobs(stack)
        cluster.master.kill()
        killed = time.monotonic()
        # At this moment there is no master.
        assert stack.call("DELETE", f"/api/auth/sessions/{session['id']}", token=access).status_code == 204
        wait_until(
            # Each process of a service has its own copy.
            lambda: {stack.call("GET", "/api/tasks", token=ended).status_code for _ in range(8)} == {401},
            timeout=BACK_WITHIN_SECONDS,
            what="the other services refuse the session",
        )
        refused = time.monotonic() - killed
        wait_until(
            lambda: stack.call("GET", "/readyz").json()["status"] == "ok",
            timeout=BACK_WITHIN_SECONDS,
            what="/readyz is ok",
        )
        ready = time.monotonic() - killed
        wait_until(lambda: finished_jobs(stack) > before, timeout=80, what="the next tick has run")

    slowest = max(seconds for _, seconds in load.results)
    print(
        f"{len(load.results)} POSTs, the slowest {slowest:.2f} s;"
        f" the session was refused after {refused:.1f} s, /readyz was ok after {ready:.1f} s"
    )
    assert cluster.replica.client(password=PASSWORD).info("replication")["role"] == "master"
    assert {status for status, _ in load.results} == {201}
    assert slowest < 3
    # No slot has run twice.
    slots = [entry["slot"] for entry in stack.log() if entry["message"] == "job"]
    assert len(slots) == len(set(slots))
