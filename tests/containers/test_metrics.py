"""Each container serves its own metrics on the internal network, where Prometheus discovers each of them."""

import datetime
import json
import re
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import trustme
import yaml

from support.compose import Project
from support.paths import CHECKOUT
from support.ports import free_port
from support.waiting import wait_until

from .conftest import Client

SCRAPED = {
    scrape["dns_sd_configs"][0]["names"][0]: scrape["metrics_path"]
    for scrape in yaml.safe_load((CHECKOUT / "deploy/monitoring/prometheus.yaml").read_text())["scrape_configs"]
}

EXPIRES = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)


def metrics(project: Project, part: str) -> list[dict[str, float]]:
    """Return the metrics of each container of the part, read from within the internal network."""
    served = json.loads(project.run_program("metrics", "containers/read_metrics", part, SCRAPED[part]))
    return [
        {name: float(value) for name, value in re.findall(r"^([^# ].*) (\S+)$", text, re.MULTILINE)}
        for text in served.values()
    ]


def counted(project: Project) -> float:
    """Return the number of requests to /api/tasks, summed over all containers."""
    return sum(
        value
        for container in metrics(project, "tasks")
        for name, value in container.items()
        if name.startswith("http_server_request_duration_seconds_count") and 'http_route="/api/tasks"' in name
    )


@pytest.mark.parametrize("part", [part for part in SCRAPED if part != "metrics"])
def test_each_part_serves_its_processes(project: Project, part: str) -> None:
    [container] = metrics(project, part)
    assert container["part_processes"] >= 1


def test_gateway_tells_its_connections_and_its_own_responses(project: Project) -> None:
    def own() -> float:
        [gateway] = metrics(project, "metrics")
        assert gateway["gateway_requests_total"] >= gateway["gateway_connections_accepted_total"] >= 1
        name = 'gateway_responses_total{http_response_status_code="404",limit="none"}'
        return gateway.get(name, 0)

    before = own()
    # The gateway's messages are queued while the metrics program is frozen.
    with project.frozen("metrics"):
        for _ in range(100):
            assert project.request("GET", "/nowhere").status_code == 404
    wait_until(lambda: own() == before + 100, timeout=10, what=lambda: f"{own()} is {before} + 100")


def test_gateway_that_was_killed_comes_back_and_tells_again(project: Project) -> None:
    project.crash(project.containers("gateway")[0])

    project.wait_until_ready(timeout=30)

    def connections() -> float:
        [gateway] = metrics(project, "metrics")
        return gateway["gateway_connections"]

    wait_until(lambda: connections() == 0, timeout=30, what=lambda: f"{connections()} is 0")
    with socket.create_connection(("127.0.0.1", project.port)), socket.create_connection(("127.0.0.1", project.port)):
        wait_until(lambda: connections() == 2, timeout=10, what=lambda: f"{connections()} is 2")


@pytest.fixture
def certificates() -> Iterator[Path]:
    """A folder with a certificate for localhost, its key and its CA's certificate, readable by the gateway's user."""
    with tempfile.TemporaryDirectory(prefix="tls-") as name:
        folder, authority = Path(name), trustme.CA()
        issued = authority.issue_cert("localhost", not_after=EXPIRES)
        authority.cert_pem.write_to_path(folder / "authority.pem")
        issued.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
        issued.private_key_pem.write_to_path(folder / "key.pem")
        folder.chmod(0o755)
        for file in folder.iterdir():
            file.chmod(0o644)
        yield folder


def test_gateway_with_tls_tells_when_its_certificate_expires(project: Project, certificates: Path) -> None:
    files = {"CERTIFICATE": "certificate.pem", "KEY": "key.pem"}
    settings = {f"TLS_{name}_FILE": str(certificates / file) for name, file in files.items()}
    tls_port = str(free_port())
    name = "gateway_certificate_expiry_timestamp_seconds"
    try:
        project.run("make", "docker-up", TLS_FOLDER=str(certificates), TLS_PORT=tls_port, **settings)

        url = f"https://localhost:{tls_port}/api/tasks"
        assert requests.get(url, verify=certificates / "authority.pem", timeout=10).status_code == 401
        [gateway] = metrics(project, "metrics")
        assert gateway[name] == EXPIRES.timestamp()
        # Only the gateway sees the key.
        [container] = project.inspect(*project.containers("metrics"))
        assert [mount["Destination"] for mount in container["Mounts"]] == ["/data"]
    finally:
        project.run("make", "docker-up")
    [gateway] = metrics(project, "metrics")
    assert name not in gateway


def test_gateway_does_not_lead_there(project: Project) -> None:
    for path in ("/metrics", "/tasks", "/gateway", "/status"):
        assert project.request("GET", path).status_code == 404


def test_replicas_and_killed_processes_together_have_every_request(project: Project, client: Client) -> None:
    project.compose("up", "--detach", "--no-recreate", "--scale", "tasks=2")
    try:
        project.wait_until_serving("tasks", count=2)
        wait_until(lambda: len(metrics(project, "tasks")) == 2, timeout=20, what="both containers are found")
        before, statuses = counted(project), Counter()
        for _ in range(2):
            statuses.update(client.call("GET", "/api/tasks").status_code for _ in range(100))
            project.signal_process("tasks", "SIGKILL")
            wait_until(
                lambda: all(container["part_processes"] == 2 for container in metrics(project, "tasks")),
                timeout=20,
                what="the killed process was replaced",
            )
        statuses.update(client.call("GET", "/api/tasks").status_code for _ in range(100))

        assert statuses == {200: 300}
        assert counted(project) == before + 300
    finally:
        project.compose("up", "--detach", "--no-recreate", "--scale", "tasks=1")
