import pytest
from prometheus_client import REGISTRY

from servicekit.http.metrics import route_template
from servicekit.testing import bearer

NAME = "http_server_request_duration_seconds_count"


def counted() -> dict[tuple[str, str, str], float]:
    """Return the number of requests by method, route and status."""
    return {
        (
            sample.labels["http_request_method"],
            sample.labels["http_route"],
            sample.labels["http_response_status_code"],
        ): sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == NAME
    }


@pytest.fixture
def new():
    """Return the requests counted since the start of the test."""
    before = counted()
    return lambda: {key: value - before.get(key, 0) for key, value in counted().items() if value != before.get(key, 0)}


def test_request_is_counted_by_method_route_and_status(client, new):
    client.get("/echo", headers=bearer())
    client.get("/echo")
    client.post("/echo", b"{}", content_type="application/json", headers=bearer())
    assert new() == {("GET", "/echo", "200"): 1, ("GET", "/echo", "401"): 1, ("POST", "/echo", "200"): 1}


def test_template_stands_for_all_paths_of_a_route(client, new):
    for name in ("fields", "conflict", "parse"):
        client.get(f"/failing/{name}")
    assert new() == {("GET", "/failing/{name}", "400"): 2, ("GET", "/failing/{name}", "409"): 1}


def test_defect_is_counted(client, new):
    client.raise_request_exception = False
    client.get("/failing/defect")
    assert new() == {("GET", "/failing/{name}", "500"): 1}


def test_what_a_client_makes_up_is_no_label(client, new):
    for path in ("/a", "/b?c", "/echo/d"):
        client.get(path)
    for method in ("BREW", "GETS", "X" * 100):
        client.generic(method, "/echo")
    assert {key: value for key, value in new().items() if key[0] == "GET"} == {("GET", "unmatched", "404"): 3}
    assert {key[:2] for key in new()} == {("GET", "unmatched"), ("_OTHER", "/echo")}


def test_probes_are_not_counted(client, new):
    client.get("/healthz")
    client.get("/readyz")
    assert new() == {}


def test_request_in_progress_is_counted_until_it_ends(client, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "tests.urls.EchoView.get",
        lambda *_, **__: seen.append(REGISTRY.get_sample_value("http_server_active_requests")) or 1 / 0,
    )
    client.raise_request_exception = False
    client.get("/echo", headers=bearer())
    assert [*seen, REGISTRY.get_sample_value("http_server_active_requests")] == [1, 0]


@pytest.mark.parametrize(
    ("route", "template"),
    [
        (r"^api/tasks/?$", "/api/tasks"),
        (r"^api/tasks/(?P<task_id>[1-9][0-9]{0,18})/?$", "/api/tasks/{task_id}"),
        (r"^api/jobs/(?P<name>(?:a|b))/runs/(?P<id>\d+)/?$", "/api/jobs/{name}/runs/{id}"),
        ("plain/<name>", "/plain/{name}"),
        ("items/<int:id>/parts", "/items/{id}/parts"),
        ("", "unmatched"),
    ],
)
def test_template_is_named_as_in_the_document(route, template):
    assert route_template(route) == template
