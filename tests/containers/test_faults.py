"""Parts of the running stack are killed or cut off: the effects on clients and on work in progress."""

import datetime
import itertools
import json
import random
import time
from collections import Counter
from typing import Any

import jwt
import pytest
import requests

from support.compose import Project, running_project
from support.waiting import wait_until

from .conftest import Client, Load, creates, load, probe, reads

# Enough tasks of user 1 that their report takes seconds.
MANY_TASKS = 60_000


def runs(project: Project) -> dict[str, tuple[str, int]]:
    """Return the state and attempts of each slot's run."""
    return {
        slot: (state, attempts)
        for slot, state, attempts in json.loads(project.run_program("worker", "containers/list_runs"))
    }


def send_tick(project: Project, slot: str, *, check: bool = True) -> str:
    return project.run_program("scheduler", "scheduler/send_tick", slot, check=check)


def succeeded(project: Project, slot: str) -> tuple[str, int] | None:
    try:
        run = runs(project).get(slot)
    except AssertionError:
        return None  # The worker is restarting.
    return run if run and run[0] == "succeeded" else None


def restarts(project: Project, service: str) -> int:
    count: int = project.inspect(*project.containers(service))[0]["RestartCount"]
    return count


@pytest.fixture
def slots() -> "Any":
    """Slots that beat does not use: in the past, but recent enough that their runs are kept."""
    now = datetime.datetime.now(tz=datetime.UTC).replace(second=0, microsecond=0)
    start = now - datetime.timedelta(minutes=random.randint(2_000, 30_000))
    return ((start + datetime.timedelta(minutes=n)).isoformat() for n in range(1000))


def test_a_process_of_a_service_that_is_killed_is_replaced_while_the_other_answers(
    project: Project, client: Client
) -> None:
    before = project.inspect(*project.containers("tasks"))[0]["State"]["StartedAt"]
    processes = project.processes("tasks")
    assert len(processes) == 2
    with load(reads(client)) as seen:
        time.sleep(1)
        project.signal_process("tasks", "SIGKILL")
        time.sleep(4)
    print(seen)
    # Only requests in flight in that process: a retry may reach the same process while it is dying.
    assert set(seen.statuses) <= {200, 502}
    assert seen.statuses[502] + len(seen.broken) <= 2 * 4
    assert seen.statuses[200] > 100
    # The other process kept responding, and the container was not restarted.
    assert project.inspect(*project.containers("tasks"))[0]["State"]["StartedAt"] == before
    assert len(project.processes("tasks")) == 2
    assert project.processes("tasks") != processes


def test_a_worker_that_is_killed_in_mid_job_costs_a_rerun(project: Project, slots: Any) -> None:
    slot = next(slots)
    project.run_program("tasks", "containers/fill_tasks", str(MANY_TASKS))
    try:
        send_tick(project, slot)
        wait_until(lambda: runs(project).get(slot), timeout=15, what="the job has started")
        project.crash(project.containers("worker")[0])
        killed = time.monotonic()
        _, attempts = wait_until(lambda: succeeded(project, slot), timeout=40, what="the job has succeeded")
        print(f"rerun and done {time.monotonic() - killed:.1f} s after the kill, attempts {attempts}")
        assert attempts == 2
    finally:
        project.run_program("tasks", "containers/fill_tasks", "0")


def test_killed_redis_loses_nothing_and_delays_no_request(project: Project, client: Client, slots: Any) -> None:
    other = Client(project, username=client.username).log_in()
    assert project.request("POST", "/api/auth/logout", json={"refresh": other.refresh}).status_code == 204
    wait_until(lambda: other.call("GET", "/api/tasks").status_code == 401, timeout=2)
    # Redis's append-only file is at most a second behind.
    time.sleep(1.2)
    before = restarts(project, "redis")
    with load(creates(client)) as seen:
        time.sleep(0.5)
        project.crash(project.containers("redis")[0], user="redis")
        wait_until(lambda: restarts(project, "redis") > before, timeout=10, what="Redis has restarted")
        started = time.monotonic()
        slot = next(slots)

        wait_until(lambda: "rror" not in send_tick(project, slot, check=False), timeout=15, what="Redis accepts ticks")
        wait_until(lambda: succeeded(project, slot), timeout=15, what="a job has run")
        print(f"first job done {time.monotonic() - started:.1f} s after Redis's restart; {seen}")
    assert set(seen.statuses) == {201}
    assert not seen.broken
    assert seen.slowest < 2
    assert sorted(client.titles()) == sorted(seen.acknowledged)
    # The append-only file has preserved the ended session.
    assert other.call("GET", "/api/tasks").status_code == 401
    project.wait_until_ready()


def test_redis_starts_on_a_damaged_file(project: Project) -> None:
    before = restarts(project, "redis")
    project.execute("redis", "sh", "-c", "for file in appendonlydir/*.incr.aof; do head -c 512 /dev/zero >>$file; done")
    project.crash(project.containers("redis")[0], user="redis")
    wait_until(lambda: restarts(project, "redis") > before, timeout=10, what="Redis has restarted")
    project.wait_until_ready()


def test_beat_killed_is_back_soon_and_every_minute_is_printed_once(project: Project) -> None:
    # Backdate the last tick: only the next tick makes beat healthy again, and it may come before the probe.
    def unhealthy() -> bool:
        project.execute("beat", "touch", "--date", "95 seconds ago", "/tmp/beat-tick")
        return probe(project, "beat") == 1

    wait_until(unhealthy, timeout=20, what="beat without ticks is unhealthy")
    # Other tests send ticks for past slots, as if a clock was set back: a minute that has run may run again.
    minute = minute_of(time.time() + 60)
    wait_until(lambda: succeeded(project, minute), timeout=75, what=f"the run of {minute}")
    since, before = time.time(), restarts(project, "beat")
    project.crash(project.containers("beat")[0])
    wait_until(lambda: restarts(project, "beat") > before, timeout=30, what="beat has restarted")

    def started() -> str | None:
        return next((line for line in project.log("beat", since=since) if "Starting" in line), None)

    wait_until(started, timeout=30, what="beat is starting")
    back = time.time() - since
    assert back < 30
    following = minute_of(time.time() + 60)
    wait_until(lambda: succeeded(project, following), timeout=70, what=f"the run of {following}")
    assert probe(project, "beat") == 0

    # Beat resends the tick of the minute in which it was killed; that report was already printed and is not repeated.
    wait_until(lambda: following in reports_printed(project), timeout=5, what="Docker has logged the worker's line")
    printed = reports_printed(project)
    assert {count for slot, count in printed.items() if slot >= minute} == {1}
    assert minute in printed
    every = [slot for slot in runs(project) if slot > minute_of(project.started)]
    print(f"beat restarted after {back:.1f} s; {len(every)} minutes since the start, each once")
    steps = {later - earlier for earlier, later in itertools.pairwise(map(datetime.datetime.fromisoformat, every))}
    assert steps <= {datetime.timedelta(minutes=1)}


def reports_printed(project: Project) -> Counter[str]:
    """Return how many times the worker has finished each slot's report, according to its log."""
    lines = [json.loads(line.partition("| ")[2]) for line in project.log("worker") if "| {" in line]
    ended = [line["slot"] for line in lines if (line["message"], line.get("job")) == ("job", "report-user-tasks")]
    return Counter(datetime.datetime.fromisoformat(slot).isoformat() for slot in ended)


def minute_of(at: float) -> str:
    """Return the slot of a Unix time."""
    return datetime.datetime.fromtimestamp(at // 60 * 60, tz=datetime.UTC).isoformat()


def test_a_read_only_database_is_a_503_and_then_works_again_by_itself(project: Project, client: Client) -> None:
    assert client.create("before").status_code == 201
    mount = f"{project.name}_data:/data"
    change = ("docker", "run", "--rm", "--user", "root", "--volume", mount, f"{project.name}-tasks", "sh", "-c")
    # A process that has the file open could continue writing, so the service is restarted.
    project.run(*change, "chmod a-w /data /data/*")
    try:
        project.compose("restart", "tasks")
        project.wait_until_ready()
        responses = [client.create("during") for _ in range(16)]
        for response in responses:
            assert response.status_code == 503, response.text
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.json()["title"] == "Service Unavailable"
            assert int(response.headers["Retry-After"]) >= 1
        before = project.inspect(*project.containers("tasks"))[0]["State"]["StartedAt"]
        reading = client.call("GET", "/api/tasks")
        print(f"POST {responses[0].status_code}, GET {reading.status_code}")
        assert reading.status_code == 200
    finally:
        project.run(*change, "chmod u+w /data /data/*")
    # Each thread of the service may fail once more before it reopens the file.
    statuses = [client.create("after").status_code for _ in range(60)]
    print(f"afterwards {dict(Counter(statuses))}")
    assert set(statuses[20:]) == {201}
    assert project.inspect(*project.containers("tasks"))[0]["State"]["StartedAt"] == before
    assert set(client.titles()) == {"before", "after"}


def test_an_operator_changes_the_key_while_people_work(project: Project, client: Client) -> None:
    """docs/operations.md: add the new key, then move it to the front. No service is restarted."""
    new = "new:" + "n" * 64
    old = project.env["JWT_KEYS"]

    def sign_in_and_list(session: requests.Session, seen: Load) -> requests.Response:
        # Tokens of both keys, and fewer logins than the gateway allows one address.
        time.sleep(0.2)
        fresh = Client(project, username=client.username).log_in()
        response = fresh.call("GET", "/api/tasks")
        return response if response.status_code != 200 else client.call("GET", "/api/tasks")

    with load(sign_in_and_list, clients=1) as seen:
        for keys in (f"{old},{new}", f"{new},{old}"):
            project.env["JWT_KEYS"] = keys
            project.compose("up", "--detach", "--no-deps", "--force-recreate", "secrets")
            time.sleep(3)
    print(seen)
    assert set(seen.statuses) == {200}
    assert not seen.broken
    fresh = Client(project, username=client.username).log_in()
    assert jwt.get_unverified_header(fresh.access)["kid"] == "new"
    project.env["JWT_KEYS"] = new
    project.compose("up", "--detach", "--no-deps", "--force-recreate", "secrets")
    time.sleep(3)
    assert client.call("GET", "/api/tasks").status_code == 401
    assert fresh.call("GET", "/api/tasks").status_code == 200


def test_two_stacks_side_by_side_know_nothing_of_each_other(project: Project, client: Client) -> None:
    with running_project() as other:
        assert other.port != project.port
        stranger = other.request("GET", "/api/tasks", headers=client.headers)
        assert stranger.status_code == 401
        # The suite may have run for longer than a token's lifetime.
        client.log_in()
        own = Client(other, username=client.username).register()
        assert own.call("GET", "/api/auth/me").json()["id"] == 1
        assert client.call("GET", "/api/auth/me").status_code == 200

        # The other stack moves to another database, as from SQLite to SQL Server.
        assert "warning: the database is one SQLite file" in other.start_output
        assert "secrets have changed" not in other.start_output
        # The admin, which only its profile starts, moves with the services.
        other.compose("--profile", "admin", "up", "--detach", "admin")
        admin_before = other.inspect(*other.containers("admin"))[0]["State"]["StartedAt"]
        # The first attempt fails and reports why; the running containers are unaffected.
        other.env["DATABASE_URL"] = "mssql://sa:x@host.docker.internal:9/tasks?encrypt=no&connect_timeout=1"
        failed = other.run("make", "docker-up", check=False)
        assert "error: auth-migrate: CommandError: the server does not respond" in failed
        assert own.create("in the first database").status_code == 201
        other.env["DATABASE_URL"] = "sqlite:////data/another.sqlite3"
        assert "secrets have changed" in other.run("make", "docker-up")
        assert other.inspect(*other.containers("admin"))[0]["State"]["StartedAt"] > admin_before
        assert own.call("GET", "/api/tasks").json() == []
        assert Client(other, username="second").register().call("GET", "/api/auth/me").json()["id"] == 1
        assert "secrets have changed" not in other.run("make", "docker-up")
    left = project.run("docker", "ps", "--all", "--quiet", "--filter", f"label={other.label}")
    left += project.run("docker", "volume", "ls", "--quiet", "--filter", f"label={other.label}")
    assert left == ""
    assert other.images() == []
    assert client.call("GET", "/api/auth/me").status_code == 200
