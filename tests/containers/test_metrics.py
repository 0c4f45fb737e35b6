"""Each container serves its own metrics on the internal network, where Prometheus finds all of them."""

import json
import re
from collections import Counter

import pytest
import yaml

from support.compose import Project
from support.paths import CHECKOUT
from support.waiting import wait_until

from .conftest import Client

SCRAPED = {
    scrape["dns_sd_configs"][0]["names"][0]: scrape["metrics_path"]
    for scrape in yaml.safe_load((CHECKOUT / "deploy/monitoring/prometheus.yaml").read_text())["scrape_configs"]
}


def metrics(project: Project, part: str) -> list[dict[str, float]]:
    """Return what each container of the part serves, asked from within the internal network."""
    served = json.loads(project.run_program("metrics", "containers/read_metrics", part, SCRAPED[part]))
    return [
        {name: float(value) for name, value in re.findall(r"^([^# ].*) (\S+)$", text, re.MULTILINE)}
        for text in served.values()
    ]


def counted(project: Project) -> float:
    """Return how many tasks were read, in all containers."""
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
        assert gateway["gateway_connections"] >= 1
        assert gateway["gateway_requests_total"] >= gateway["gateway_connections_accepted_total"] >= 1
        name = 'gateway_responses_total{http_response_status_code="404",limit="none"}'
        return gateway.get(name, 0)

    before = own()
    # They wait for a program that does not get its turn.
    with project.frozen("metrics"):
        for _ in range(100):
            assert project.request("GET", "/nowhere").status_code == 404
    wait_until(lambda: own() == before + 100, timeout=10, what=lambda: f"{own()} is {before} + 100")


def test_gateway_does_not_lead_there(project: Project) -> None:
    for path in ("/metrics", "/tasks", "/gateway", "/status"):
        assert project.request("GET", path).status_code == 404


def test_replicas_and_killed_processes_together_have_every_request(project: Project, client: Client) -> None:
    project.compose("up", "--detach", "--no-recreate", "--scale", "tasks=2")
    try:
        project.wait_until_serving("tasks", count=2)
        wait_until(lambda: len(metrics(project, "tasks")) == 2, timeout=20, what="both are known")
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
