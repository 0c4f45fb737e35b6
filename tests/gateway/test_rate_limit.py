"""Calls that cost a password hash or guess at one are limited per client address."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import Gateway, Upstream, running_gateway

LIMITED = [
    "/api/auth/token",
    "/api/auth/token/",
    "/api/auth/token/refresh",
    "/api/auth/register",
    "/api/auth/password",
    "/api/auth/%74oken",
]
FREE = [("GET", "/api/auth/token"), ("POST", "/api/auth/token/verify"), ("GET", "/api/auth/me"), ("POST", "/api/tasks")]


def storm(gateway: Gateway, method: str, path: str, count: int = 40) -> list:
    # In parallel: one after the other they could come no faster than the limit lets them through.
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda _: gateway.request(method, path), range(count)))


@pytest.mark.parametrize("path", LIMITED)
def test_a_storm_is_refused_after_the_burst(problem, path: str) -> None:
    with running_gateway(AUTH_RATE_LIMIT="1") as gateway:
        upstream = Upstream(gateway.folder / "auth.sock")
        try:
            responses = storm(gateway, "POST", path)
        finally:
            upstream.stop()

    taken = [response for response in responses if response.status == 200]
    refused = [response for response in responses if response.status != 200]
    # One at once and a burst of 20, and what a slow machine's second or two adds.
    assert 21 <= len(taken) <= 25
    assert len(upstream.received) == len(taken)
    for response in refused:
        problem(response, 429, "too-many-requests")
        assert response.headers.get_all("Retry-After") == ["1"]
        assert response.headers.get_all("RateLimit") == ['"auth";r=0;t=1']
    for response in responses:
        assert response.headers.get_all("RateLimit-Policy") == ['"auth";q=1;w=1']


@pytest.mark.parametrize(("method", "path"), FREE)
def test_other_calls_are_not_limited(method: str, path: str) -> None:
    with running_gateway(AUTH_RATE_LIMIT="1") as gateway:
        upstreams = [Upstream(gateway.folder / f"{service}.sock") for service in ("auth", "tasks")]
        try:
            responses = storm(gateway, method, path)
        finally:
            for upstream in upstreams:
                upstream.stop()

    assert {response.status for response in responses} == {200}
    assert not any(response.headers["RateLimit-Policy"] for response in responses)
