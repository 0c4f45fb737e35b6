"""A real Prometheus reads exactly the clients' own counts, also after processes were killed."""

import collections
import random
import re
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import requests

from support.accounts import PASSWORD, Account, register
from support.http import responds
from support.prometheus import FOLDER, Prometheus, configuration, promtool, running_prometheus
from support.stack import LocalStack
from support.waiting import wait_until

# In three stages, between which processes are killed.
LOAD_SECONDS = 60
CLIENTS = 4

Key = tuple[str, str, int]


@pytest.fixture(scope="module")
def prometheus(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    config = configuration(targets={}, default=int(stack.environment["METRICS_PORT"]))
    rules = (FOLDER / "alerts.yaml").read_text(encoding="utf-8")
    with running_prometheus(tmp_path_factory.mktemp("prometheus") / "data", config, rules=rules) as running:
        jobs = {scrape["job_name"] for scrape in config["scrape_configs"]}
        wait_until(lambda: running.healthy_targets() == jobs, timeout=20, what="every part is scraped")
        yield running


class Load:
    """Clients that use all of the API and count each response by method, route and status."""

    def __init__(self, stack: LocalStack, account: Account) -> None:
        self._stack = stack
        self._account = account
        self._lock = threading.Lock()
        # The responses of the services, and those of the gateway itself.
        self.served: collections.Counter[Key] = collections.Counter()
        self.own: collections.Counter[int] = collections.Counter()

    def run(self, *, seconds: float) -> None:
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._client, args=(number, until)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, number: int, until: float) -> None:
        choose = random.Random(number)
        with requests.Session() as session:
            while time.monotonic() < until:
                choose.choice((self._tasks, self._mistakes, self._auth, self._gateway))(session, choose)

    def _tasks(self, session: requests.Session, choose: random.Random) -> None:
        key = {"Idempotency-Key": uuid.uuid4().hex}
        made = self._call(session, "POST", "/api/tasks", "/api/tasks", json={"title": "a", "duration": 1}, headers=key)
        self._call(session, "POST", "/api/tasks", "/api/tasks", json={"title": "a", "duration": 1}, headers=key)
        path = f"/api/tasks/{made.json()['id']}"
        self._call(session, "GET", "/api/tasks?limit=3", "/api/tasks")
        self._call(session, "GET", path, "/api/tasks/{task_id}")
        self._call(session, "PATCH", f"{path}/", "/api/tasks/{task_id}", json={"title": "b"})
        self._call(session, "DELETE", path, "/api/tasks/{task_id}")

    def _mistakes(self, session: requests.Session, choose: random.Random) -> None:
        self._call(session, "POST", "/api/tasks", "/api/tasks", json={"title": ""})
        self._call(session, "GET", f"/api/tasks/{choose.randrange(10**15, 10**18)}", "/api/tasks/{task_id}")
        self._call(session, "GET", f"/api/tasks/{choose.random()}", "unmatched")
        self._call(session, "GET", "/api/jobs", "/api/jobs")

    def _auth(self, session: requests.Session, choose: random.Random) -> None:
        self._call(session, "GET", "/api/auth/me", "/api/auth/me")
        self._call(session, "POST", "/api/auth/token/verify", "/api/auth/token/verify", json={"token": "none"})

    def _gateway(self, session: requests.Session, choose: random.Random) -> None:
        for path in ("/", f"/{choose.random()}"):
            status = self._send(session, "GET", path).status_code
            with self._lock:
                self.own[status] += 1

    def _call(self, session: requests.Session, method: str, path: str, route: str, **more: Any) -> requests.Response:
        response = self._send(session, method, path, **more)
        with self._lock:
            self.served[method, route, response.status_code] += 1
        return response

    def _send(self, session: requests.Session, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._account.access}", **more.pop("headers", {})}
        return session.request(method, self._stack.url + path, headers=headers, timeout=30, **more)


def counted(prometheus: Prometheus, *, since: dict[Key, float] | None = None) -> dict[Key, float]:
    """Return the numbers of requests that the services have counted, minus those of ``since``."""
    labels = "http_request_method", "http_route", "http_response_status_code"
    series = prometheus.query(f"sum by ({', '.join(labels)}) (http_server_request_duration_seconds_count)")
    found = {(of[labels[0]], of[labels[1]], int(of[labels[2]])): value for of, value in series}
    return {
        key: value - (since or {}).get(key, 0) for key, value in found.items() if value != (since or {}).get(key, 0)
    }


def without(found: dict[Any, float], before: dict[Any, float]) -> dict[Any, float]:
    """Return the increase of each value that has changed."""
    return {key: value - before.get(key, 0) for key, value in found.items() if value != before.get(key, 0)}


def own(prometheus: Prometheus) -> dict[int, float]:
    series = prometheus.query("sum by (http_response_status_code) (gateway_responses_total)")
    return {int(of["http_response_status_code"]): value for of, value in series}


def workers(stack: LocalStack, part: str) -> list[psutil.Process]:
    """Return the part's worker processes."""
    main = stack.main_process(part)
    return main.children() if main is not None else []


def kill_one(stack: LocalStack, prometheus: Prometheus, part: str) -> None:
    """Kill one of the part's processes; return once another has replaced it and is counted."""
    victim = workers(stack, part)[0]
    before = prometheus.value(f'part_processes{{job="{part}"}}')
    victim.kill()
    wait_until(
        lambda: len(alive := workers(stack, part)) >= 2 and victim not in alive, timeout=30, what=f"{part} is complete"
    )
    wait_until(
        lambda: prometheus.value(f'part_processes{{job="{part}"}}') == before,
        timeout=30,
        what=lambda: f"{before} processes of {part}: {prometheus.query('part_processes')}",
    )


def test_sums_equal_what_the_clients_counted(stack: LocalStack, prometheus: Prometheus) -> None:
    account = register(stack, "ada")
    load = Load(stack, account)
    prometheus.wait_for_scrapes()
    before, own_before = counted(prometheus), own(prometheus)

    for _ in range(2):
        load.run(seconds=LOAD_SECONDS / 3)
        for part in ("tasks", "auth", "worker"):
            kill_one(stack, prometheus, part)
    load.run(seconds=LOAD_SECONDS / 3)

    assert sum(load.served.values()) > 500
    prometheus.wait_for_scrapes()
    assert counted(prometheus, since=before) == load.served
    assert without(own(prometheus), own_before) == load.own
    # Each creation was sent twice.
    replays = load.served["POST", "/api/tasks", 201] / 2
    assert prometheus.value("sum(tasks_idempotent_replays_total)") == replays
    assert (
        prometheus.value('sum(tokens_refused_total{reason="invalid"})')
        == load.served["POST", "/api/auth/token/verify", 401]
    )
    # No active request of a killed process remains.
    assert prometheus.value("sum(http_server_active_requests)") == 0


def test_files_are_those_of_the_living_and_one_of_each_kind_for_the_dead(
    stack: LocalStack, prometheus: Prometheus
) -> None:
    folder = stack.state / "run/metrics/tasks"
    # granian exits with its third worker in a row, and the supervisor restarts it.
    for _ in range(3):
        kill_one(stack, prometheus, "tasks")
    wait_until(lambda: responds(f"{stack.url}/readyz"), timeout=30, what="the stack is ready again")

    names = {re.sub(r"[0-9]+-[0-9a-f]+", "<process>", path.name) for path in folder.iterdir()}
    assert names <= {
        *("lock", "<process>.live"),
        *("counter_<process>.db", "histogram_<process>.db", "gauge_livesum_<process>.db", "gauge_livemin_<process>.db"),
        *("counter_ended.db", "histogram_ended.db"),
    }
    # The first of the two may respond before the second has started.
    wait_until(lambda: len(list(folder.glob("*.live"))) == 2, timeout=10, what="both processes have their files")
    assert len(list(folder.iterdir())) <= 1 + 2 * 5 + 2


def test_statements_of_a_request_and_their_time(stack: LocalStack, prometheus: Prometheus) -> None:
    account = register(stack, "grace")
    new = {"title": "a", "duration": 1}
    path = f"/api/tasks/{stack.call('POST', '/api/tasks', token=account.access, json=new).json()['id']}"
    prometheus.wait_for_scrapes()
    statements = 'db_client_operation_duration_seconds_count{job="tasks"}'
    before = prometheus.value(statements)
    for _ in range(20):
        assert stack.call("GET", path, token=account.access).status_code == 200

    prometheus.wait_for_scrapes()
    assert prometheus.value(statements) == before + 20
    assert 0 < prometheus.value('db_client_operation_duration_seconds_sum{job="tasks"}') < 100


def test_sessions_and_passwords(stack: LocalStack, prometheus: Prometheus) -> None:
    def events(**labels: str) -> float:
        return prometheus.value(f'auth_security_events_total{{event="{labels["event"]}"}}')

    register(stack, "barbara")
    login = {"username": "barbara", "password": PASSWORD}
    tokens = stack.call("POST", "/api/auth/token", json=login).json()
    prometheus.wait_for_scrapes()
    names = ("login succeeded", "login failed", "refresh token replayed", "sessions ended")
    before = {name: events(event=name) for name in names}
    refreshed = prometheus.value("auth_tokens_refreshed_total")

    stack.call("POST", "/api/auth/token", json=login | {"password": "wrong"})
    stack.call("POST", "/api/auth/token", json=login)
    stack.call("POST", "/api/auth/token/refresh", json={"refresh": tokens["refresh"]})
    stack.call("POST", "/api/auth/logout", json={"refresh": tokens["refresh"]})

    prometheus.wait_for_scrapes()
    assert {name: events(event=name) - before[name] for name in names} == {
        "login succeeded": 1,
        "login failed": 1,
        "refresh token replayed": 0,
        "sessions ended": 1,
    }
    assert prometheus.value("auth_tokens_refreshed_total") == refreshed + 1
    assert prometheus.value('auth_sessions_ended_total{reason="logout"}') >= 1
    age = prometheus.value('time() - ended_sessions_copied_timestamp_seconds{job="auth"}')
    assert age is None or age < 10


def test_jobs_and_queues(stack: LocalStack, prometheus: Prometheus) -> None:
    run = 'job_run_duration_seconds_count{job="worker",job_name="report-user-tasks",state="succeeded"}'
    wait_until(
        lambda: prometheus.value(run),
        timeout=70,
        what=lambda: f"a run is counted: {prometheus.query('job_run_duration_seconds_count')}",
    )
    assert prometheus.value("time() - job_last_tick_timestamp_seconds") < 130
    assert {of["queue"] for of, _ in prometheus.query("celery_queue_messages")} == {
        "task-api.jobs",
        "task-api.webhooks",
    }
    assert prometheus.value("time() - relay_measured_timestamp_seconds") < 15
    assert {of["dependency"]: value for of, value in prometheus.query("dependency_up")} == {"redis": 1, "database": 1}


def test_promtool_finds_nothing_to_say_of_the_metrics(stack: LocalStack, prometheus: Prometheus) -> None:
    port = stack.environment["METRICS_PORT"]
    parts = requests.get(f"http://127.0.0.1:{port}/", timeout=10).text.split()
    assert set(parts) == {"/auth", "/tasks", "/scheduler", "/worker", "/sender", "/beat", "/relay", "/gateway"}
    for part in parts:
        text = requests.get(f"http://127.0.0.1:{port}{part}", timeout=10).text
        assert text.count("# HELP") >= 1
        assert promtool("check", "metrics", text=text) == ""


def test_gateway_does_not_lead_there(stack: LocalStack) -> None:
    for path in ("/metrics", "/tasks", "/auth", "/gateway", "/api/metrics"):
        assert requests.get(f"{stack.url}{path}", timeout=10).status_code == 404
