"""Each alert fires when its subject is broken, clears when it is repaired, and is silent otherwise.

Prometheus evaluates the rules of deploy/monitoring every second, with windows and ``for:`` sixty times shorter and
unchanged thresholds. promtool tests the durations (test_files.py).
"""

import contextlib
import datetime
import json
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest
import trustme

from support.accounts import Account, register
from support.background import repeating
from support.environment import inherited
from support.paths import python
from support.ports import free_port
from support.processes import short_folder
from support.prometheus import FOLDER, Prometheus, accelerated, configuration, running_prometheus
from support.receiver import Receiver, receiving
from support.stack import LocalStack
from support.waiting import wait_until

FACTOR = 60
# The largest thresholds are 150 s of silence and 60 s of lag, and there is a tick each minute.
FIRES_WITHIN_SECONDS = 240
CLEARS_WITHIN_SECONDS = 120


class TlsGateway(socketserver.ThreadingTCPServer):
    """A TLS server that, like the gateway, presents the certificate that is current at the handshake."""

    class RequestHandlerClass(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.server.context.wrap_socket(self.request, server_side=True).close()

    def __init__(self) -> None:
        self.renew(days=60)
        super().__init__(("127.0.0.1", 0), self.RequestHandlerClass)

    def renew(self, *, days: int) -> None:
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("gateway.test", not_after=until).configure_cert(context)
        self.context = context


@pytest.fixture(scope="module")
def gateway() -> Iterator[TlsGateway]:
    with TlsGateway() as gateway:
        threading.Thread(target=gateway.serve_forever, daemon=True).start()
        yield gateway
        gateway.shutdown()


@pytest.fixture(scope="module")
def certified(gateway: TlsGateway) -> Iterator[int]:
    """Return the port of a program that serves the metrics of a gateway with TLS."""
    port = free_port()
    with short_folder("certified") as folder:
        variables = {
            "METRICS_ADDRESS": f"127.0.0.1:{port}",
            "GATEWAY_ANSWERS": str(folder / "metrics.sock"),
            "GATEWAY_TLS": f"127.0.0.1:{gateway.server_address[1]}",
        }
        command = [python("scheduler"), "-m", "servicekit.metrics"]
        with subprocess.Popen(command, env=inherited() | variables) as process:
            yield port
            process.terminate()


@pytest.fixture(scope="module")
def prometheus(stack: LocalStack, certified: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    config = configuration(targets={}, default=int(stack.environment["METRICS_PORT"]))
    [gateway] = [scrape for scrape in config["scrape_configs"] if scrape["job_name"] == "gateway"]
    gateway["static_configs"][0]["targets"].append(f"127.0.0.1:{certified}")
    rules = accelerated((FOLDER / "alerts.yaml").read_text(encoding="utf-8"), factor=FACTOR)
    with running_prometheus(tmp_path_factory.mktemp("prometheus") / "data", config, rules=rules) as running:
        yield running


@pytest.fixture(scope="module")
def account(stack: LocalStack) -> Account:
    return register(stack, "ada")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def clients(stack: LocalStack, account: Account) -> Iterator[None]:
    """Run a few clients, since a ratio needs requests."""

    def call() -> None:
        with contextlib.suppress(OSError):
            stack.call("GET", "/api/tasks", token=account.access)
            stack.call("POST", "/api/tasks", token=account.access, json={"title": "a", "duration": 1})

    with repeating(call, pause=0.5), repeating(call, pause=0.5), repeating(call, pause=0.5):
        yield


def wait_for(prometheus: Prometheus, *alerts: str) -> None:
    wait_until(
        lambda: prometheus.firing() >= set(alerts),
        timeout=FIRES_WITHIN_SECONDS,
        interval=0.5,
        what=lambda: f"{alerts} fire: {prometheus.firing()}",
    )


def wait_for_silence(prometheus: Prometheus) -> None:
    wait_until(
        lambda: not prometheus.firing(),
        timeout=CLEARS_WITHIN_SECONDS,
        interval=0.5,
        what=lambda: f"no alert fires: {prometheus.firing()}",
    )


@contextmanager
def frozen(stack: LocalStack, part: str) -> Iterator[None]:
    """Freeze every process of the part, as on an overloaded machine."""
    main = stack.main_process(part)
    assert main is not None
    processes = [main, *main.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


@contextmanager
def killed(stack: LocalStack, part: str) -> Iterator[None]:
    """Kill the part while the supervisor cannot restart it."""
    supervisor = psutil.Process(stack.main_process(part).ppid())
    supervisor.suspend()
    try:
        stack.main_process(part).kill()
        yield
    finally:
        supervisor.resume()


@contextmanager
def moved(path: Path) -> Iterator[None]:
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


def slow_writes(stack: LocalStack) -> AbstractContextManager[None]:
    """Hold the database's lock most of the time, so that writes take longer than the objective."""

    def hold() -> None:
        with stack.locked_database():
            time.sleep(1.2)

    return repeating(hold, pause=0.1)


@pytest.fixture(scope="module")
def calm(prometheus: Prometheus, clients: None) -> None:
    """Wait until everything is scraped and measured, and no alert fires."""
    measured = "relay_measured_timestamp_seconds and on () job_last_tick_timestamp_seconds"
    wait_until(lambda: prometheus.query(measured), timeout=90, what="the relay has measured, and a tick was received")
    prometheus.wait_for_scrapes()
    wait_for_silence(prometheus)


@pytest.mark.usefixtures("calm")
class TestAlerts:
    def test_errors_and_slow_requests_while_beat_and_sender_are_frozen(
        self, stack: LocalStack, prometheus: Prometheus, account: Account, receiver: Receiver
    ) -> None:
        """In one test, since the alerts of beat and sender take minutes."""
        webhook = {"url": receiver.url, "events": ["task.created"]}
        created = stack.call("POST", "/api/webhooks", token=account.access, json=webhook).json()
        with frozen(stack, "beat"), frozen(stack, "sender"):
            with moved(stack.state / "run/tasks.sock"):
                # This also closes nginx's kept connections.
                for process in stack.main_process("tasks").children():
                    process.kill()
                wait_for(prometheus, "RequestErrorsFast", "RequestErrorsSlow")
            with slow_writes(stack):
                wait_for(prometheus, "SlowRequestsFast", "SlowRequestsSlow")
            wait_for(prometheus, "TickSilent", "EventsLate")
            prometheus.wait_for_scrapes()
            webhooks = 'celery_queue_oldest_message_age_seconds{queue="task-api.webhooks"}'
            assert (prometheus.value(webhooks) or 0) > 10
        wait_for_silence(prometheus)
        stack.call("DELETE", f"/api/webhooks/{created['id']}", token=account.access)

    def test_receivers_that_refuse(self, stack: LocalStack, prometheus: Prometheus, receiver: Receiver) -> None:
        receiver.status = 500
        owners = [register(stack, f"owner-{number}") for number in range(3)]
        webhook = {"url": receiver.url, "events": ["task.created"]}
        created = [
            (owner, stack.call("POST", "/api/webhooks", token=owner.access, json=webhook).json()["id"])
            for owner in owners
            for _ in range(10)
        ]
        for _ in range(3):
            for owner in owners:
                stack.call("POST", "/api/tasks", token=owner.access, json={"title": "a", "duration": 1})
        wait_for(prometheus, "DeliveriesFailing")
        for owner, number in created:
            stack.call("DELETE", f"/api/webhooks/{number}", token=owner.access)
        wait_for_silence(prometheus)

    def test_frozen_redis_and_a_certificate_that_expires(
        self, stack: LocalStack, prometheus: Prometheus, gateway: TlsGateway
    ) -> None:
        gateway.renew(days=13)
        with stack.frozen_redis():
            wait_for(prometheus, "RedisUnavailable", "CertificateExpires")
        gateway.renew(days=60)
        wait_for_silence(prometheus)

    def test_database_that_is_gone(self, stack: LocalStack, prometheus: Prometheus) -> None:
        with moved(stack.state / "db.sqlite3"):
            wait_for(prometheus, "DatabaseUnavailable", "RequestErrorsFast")
        wait_for_silence(prometheus)

    def test_frozen_relay_and_a_part_that_is_killed(self, stack: LocalStack, prometheus: Prometheus) -> None:
        with frozen(stack, "relay"), killed(stack, "beat"):
            wait_for(prometheus, "RelaySilent", "PartDown")
        wait_for_silence(prometheus)

    def test_prometheus_answers_every_query_of_the_dashboard(self, stack: LocalStack, prometheus: Prometheus) -> None:
        """After the tests above and a logout, every query has data."""
        stack.call("POST", "/api/auth/logout", json={"refresh": register(stack, "barbara").refresh})
        for _ in range(3):
            prometheus.wait_for_scrapes()
        dashboard = json.loads((FOLDER / "grafana/dashboards/task-api.json").read_text(encoding="utf-8"))
        queries = [
            (panel["title"], target["expr"].replace("$__rate_interval", "10m"))
            for panel in dashboard["panels"]
            for target in panel.get("targets", ())
        ]
        empty = [(title, query) for title, query in queries if not prometheus.query(query)]

        assert len(queries) > 35
        assert empty == []
