"""The responses to Prometheus. The servers listen on loopback ports, which these tests may use."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from servicekit.metrics.exposition import Server, address
from servicekit.process.env import ConfigurationError

pytestmark = pytest.mark.enable_socket


@contextmanager
def served(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[int, str, str]]]:
    monkeypatch.setenv("METRICS_ADDRESS", address)
    server = Server({"tasks": lambda: [CounterMetricFamily("requests", "Requests.", 3)]})
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def get(path: str, **headers: str) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection(*server.server_address[:2], timeout=5)
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        received = response.status, response.headers["Content-Type"], response.read().decode()
        connection.close()
        return received

    try:
        yield get
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def get(monkeypatch: pytest.MonkeyPatch, unused_port: int) -> Iterator[Callable[..., tuple[int, str, str]]]:
    with served(f"127.0.0.1:{unused_port}", monkeypatch) as asker:
        yield asker


def test_part_has_a_path(get):
    status, content_type, text = get("/tasks")
    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    [family] = text_string_to_metric_families(text)
    assert [(sample.name, sample.value) for sample in family.samples] == [("requests_total", 3)]


def test_openmetrics_is_there_for_those_who_ask(get):
    _, content_type, text = get("/tasks", Accept="application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert [family.name for family in openmetrics.text_string_to_metric_families(text)] == ["requests"]


@pytest.mark.parametrize("path", ["/", "/nothing", "/tasks/", "/../tasks"])
def test_other_path_is_told_which_there_are(get, path):
    status, _, text = get(path)
    assert (status, text) == (404, "/tasks\n")


def test_several_processes_listen_on_one_port(get, monkeypatch, unused_port):
    with served(f"127.0.0.1:{unused_port}", monkeypatch) as other:
        assert other("/tasks")[0] == get("/tasks")[0] == 200


@pytest.mark.parametrize("text", ["8002", ":8002", "localhost:", "localhost:0", "localhost:99999", "localhost:x"])
def test_address_that_is_none_stops_the_start(monkeypatch, text):
    monkeypatch.setenv("METRICS_ADDRESS", text)
    with pytest.raises(ConfigurationError, match=r"^METRICS_ADDRESS: must be host:port$"):
        address("METRICS_ADDRESS")
