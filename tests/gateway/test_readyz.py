"""/healthz is served by nginx itself; /readyz reports each service's state, with a 200 only if all can work."""

import json
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from support.gateway import Gateway, Received, Upstream, running_gateway
from support.http import Response, assert_secured
from support.paths import SERVICES

CHECKS = {"database": "ok", "redis": "ok"}
READY = {"status": "ok", "checks": CHECKS}
DEGRADED = {"status": "degraded", "checks": {**CHECKS, "redis": "does not respond"}}
UNAVAILABLE = {
    "status": "unavailable",
    "detail": "database does not respond.",
    "checks": {**CHECKS, "database": "does not respond"},
}


def reporting(state: dict[str, object]) -> Callable[[Received], Response]:
    """Respond like servicekit: the state is in a header, and a ready service redirects to the next one."""

    def respond(received: Received) -> Response:
        headers = {"X-Readyz": json.dumps(state, separators=(",", ":"))}
        if state["status"] == "unavailable":
            return Response(503, {**headers, "Content-Type": "application/problem+json", "Retry-After": "9"})
        return Response(headers={**headers, "X-Accel-Redirect": received.headers["X-Readyz-Next"]})

    return respond


def test_healthz_asks_no_service(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    response = gateway.request("GET", "/healthz")

    assert (response.status, response.json()) == (200, {"status": "ok"})
    assert response.headers["Content-Type"] == "application/json"
    assert_secured(response)
    assert not any(upstream.received for upstream in upstreams.values())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_readyz_asks_each_service_once(gateway: Gateway, upstreams: dict[str, Upstream], method: str) -> None:
    for upstream in upstreams.values():
        upstream.respond = reporting(READY)

    response = gateway.request(method, "/readyz", headers={"X-Readyz-Next": "/_readyz/report"})

    assert response.status == 200
    if method == "GET":
        assert response.json() == {"status": "ok", "services": dict.fromkeys(SERVICES, READY)}
    assert response.headers.get_all("Content-Type") == ["application/json"]
    assert response.headers.get_all("Cache-Control") == ["no-store"]
    assert not {"X-Accel-Redirect", "X-Readyz"} & set(response.headers)
    assert_secured(response)
    requests = [
        [(received.path, received.headers["X-Readyz-Next"]) for received in upstreams[s].received] for s in SERVICES
    ]
    following = ["/_readyz/tasks", "/_readyz/scheduler", "/_readyz/report"]
    assert requests == [[("/readyz", location)] for location in following]
    ids = {received.headers["X-Request-ID"] for upstream in upstreams.values() for received in upstream.received}
    assert ids == {response.headers["X-Request-ID"]}


@pytest.mark.parametrize("service", SERVICES)
def test_a_degraded_service_makes_the_whole_degraded(
    gateway: Gateway, upstreams: dict[str, Upstream], service: str
) -> None:
    for name, upstream in upstreams.items():
        upstream.respond = reporting(DEGRADED if name == service else READY)

    response = gateway.request("GET", "/readyz")

    assert response.status == 200
    assert response.json() == {"status": "degraded", "services": {**dict.fromkeys(SERVICES, READY), service: DEGRADED}}


@pytest.mark.parametrize("failing", [["auth"], ["tasks"], ["scheduler"], ["auth", "scheduler"], list(SERVICES)])
def test_services_that_are_not_ready_are_named_with_the_state_of_the_others(
    gateway: Gateway, upstreams: dict[str, Upstream], failing: list[str]
) -> None:
    states = {name: {**UNAVAILABLE, "detail": f"{name}: lost."} if name in failing else READY for name in SERVICES}
    for name, upstream in upstreams.items():
        upstream.respond = reporting(states[name])

    response = gateway.request("GET", "/readyz")

    assert_not_ready(response, detail=" ".join(f"{name}: lost." for name in failing), services=states)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("failure", ["absent", "hangs up", "500 without a state"])
def test_a_service_that_cannot_tell_its_state_is_unavailable(service: str, failure: str) -> None:
    with running_gateway() as gateway, ExitStack() as running:
        for name in SERVICES:
            if name != service:
                running.enter_context(gateway.upstream(name, reporting(READY)))
            elif failure != "absent":
                reply = None if failure == "hangs up" else Response(500)
                running.enter_context(gateway.upstream(name, lambda _, reply=reply: reply))
        response = gateway.request("GET", "/readyz")

    detail = f"The {service} service cannot be reached."
    states = {**dict.fromkeys(SERVICES, READY), service: {"status": "unavailable", "detail": detail}}
    assert_not_ready(response, detail=detail, services=states)


def test_a_detail_that_json_would_escape_stays_in_its_place(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    states = {name: {**UNAVAILABLE, "detail": 'a "quoted" \\ \u20ac detail'} for name in SERVICES}
    for name, upstream in upstreams.items():
        upstream.respond = reporting(states[name])

    detail = " ".join(f"The {name} service is not ready." for name in SERVICES)
    assert_not_ready(gateway.request("GET", "/readyz"), detail=detail, services=states)


def assert_not_ready(response: Response, *, detail: str, services: dict[str, dict[str, object]]) -> None:
    body = response.json()
    assert (response.status, response.headers.get_all("Content-Type")) == (503, ["application/problem+json"])
    assert list(body) == ["type", "title", "status", "detail", "instance", "request_id", "services"]
    assert (body["type"], body["status"], body["instance"]) == ("/problems/service-unavailable", 503, "/readyz")
    assert (body["detail"], body["services"]) == (detail, services)
    assert response.headers.get_all("Retry-After") == ["5"]
    assert response.headers.get_all("Cache-Control") == ["no-store"]
    assert_secured(response)
