"""/healthz is nginx' own; /readyz is 200 only when each of the three services is ready."""

from contextlib import ExitStack

import pytest

from support.gateway import Gateway, Received, Upstream, running_gateway
from support.http import Response, assert_problem, assert_secured
from support.paths import SERVICES


def ready(received: Received) -> Response:
    """Respond as servicekit does: a service that is ready redirects to the next one."""
    following = received.headers["X-Readyz-Next"]
    # nginx would keep the Cache-Control of each response on the way, and send them all.
    headers = {"X-Accel-Redirect": following} if following else {"Cache-Control": "no-store"}
    return Response(headers=headers, body=b'{"status":"ok"}')


def test_healthz_asks_nobody(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    response = gateway.request("GET", "/healthz")

    assert (response.status, response.json()) == (200, {"status": "ok"})
    assert response.headers["Content-Type"] == "application/json"
    assert_secured(response)
    assert not any(upstream.received for upstream in upstreams.values())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_readyz_asks_each_service_once(gateway: Gateway, upstreams: dict[str, Upstream], method: str) -> None:
    for upstream in upstreams.values():
        upstream.respond = ready

    response = gateway.request(method, "/readyz", headers={"X-Readyz-Next": "/_readyz/scheduler"})

    assert (response.status, response.body) == (200, b'{"status":"ok"}' if method == "GET" else b"")
    assert "X-Accel-Redirect" not in response.headers
    assert response.headers.get_all("Cache-Control") == ["no-store"]
    assert_secured(response)
    asked = [
        [(received.path, received.headers["X-Readyz-Next"]) for received in upstreams[s].received] for s in SERVICES
    ]
    assert asked == [[("/readyz", "/_readyz/tasks")], [("/readyz", "/_readyz/scheduler")], [("/readyz", None)]]
    ids = {received.headers["X-Request-ID"] for upstream in upstreams.values() for received in upstream.received}
    assert ids == {response.headers["X-Request-ID"]}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_not_ready_answers_for_all(
    gateway: Gateway, upstreams: dict[str, Upstream], service: str
) -> None:
    for upstream in upstreams.values():
        upstream.respond = ready
    upstreams[service].respond = lambda _: Response(
        503, {"Content-Type": "application/problem+json", "Retry-After": "9"}, b'{"detail":"redis"}'
    )

    response = gateway.request("GET", "/readyz")

    assert (response.status, response.json()) == (503, {"detail": "redis"})
    assert response.headers.get_all("Content-Type") == ["application/problem+json"]
    assert response.headers.get_all("Retry-After") == ["9"]
    assert_secured(response)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_away_is_named(service: str) -> None:
    with running_gateway() as gateway, ExitStack() as others:
        for name in SERVICES:
            if name != service:
                others.enter_context(gateway.upstream(name, ready))
        response = gateway.request("GET", "/readyz")

    assert assert_problem(response, 503, "service-unavailable")["detail"] == f"The {service} service cannot be reached."
    assert response.headers.get_all("Retry-After") == ["5"]
