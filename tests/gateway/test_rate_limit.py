"""Requests that compute a password hash or could guess a password are limited per client address."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from support.gateway import Gateway, running_gateway
from support.http import assert_problem

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
    # In parallel: sequential requests would be no faster than the limit.
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda _: gateway.request(method, path), range(count)))


@pytest.mark.parametrize("path", LIMITED)
def test_a_storm_is_refused_after_the_burst(path: str) -> None:
    with running_gateway(AUTH_RATE_LIMIT="1") as gateway, gateway.upstream("auth") as upstream:
        responses = storm(gateway, "POST", path)

    taken = [response for response in responses if response.status == 200]
    refused = [response for response in responses if response.status != 200]
    # One plus a burst of 20, and a few more if a slow machine takes a second or two.
    assert 21 <= len(taken) <= 25
    assert len(upstream.received) == len(taken)
    for response in refused:
        assert_problem(response, 429, "too-many-requests")
        assert response.headers.get_all("Retry-After") == ["1"]
        assert response.headers.get_all("RateLimit") == ['"auth";r=0;t=1']
    for response in responses:
        assert response.headers.get_all("RateLimit-Policy") == ['"auth";q=1;w=1']


@pytest.mark.parametrize(("method", "path"), FREE)
def test_other_calls_are_not_limited(method: str, path: str) -> None:
    limited = running_gateway(AUTH_RATE_LIMIT="1")
    with limited as gateway, gateway.upstream("auth"), gateway.upstream("tasks"):
        responses = storm(gateway, method, path)

    assert {response.status for response in responses} == {200}
    assert not any(response.headers["RateLimit-Policy"] for response in responses)
