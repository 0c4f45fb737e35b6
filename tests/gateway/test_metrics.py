"""The messages that nginx sends to the metrics about its own responses."""

import re
from collections.abc import Iterator

import pytest

from support.gateway import Gateway, running_gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with running_gateway(AUTH_RATE_LIMIT="1") as gateway:
        yield gateway


def next_message(gateway: Gateway) -> str:
    """Return the next message without its time."""
    return re.sub(r"^<\d+>[A-Z][a-z]{2} [ \d]\d [\d:]{8} ", "", gateway.own_responses.recv(2048).decode())


def test_each_response_of_its_own_is_told_with_its_status(gateway: Gateway) -> None:
    for path, status in (("/nowhere", 404), ("/", 200), ("/api/tasks", 502), ("/%2e", 404)):
        gateway.request("GET", path)
        assert re.fullmatch(rf"gateway: {status} (PASSED|-) -", next_message(gateway))


def test_response_of_a_service_and_a_probe_are_not_told(gateway: Gateway) -> None:
    with gateway.upstream("tasks"):
        gateway.request("GET", "/api/tasks")
    gateway.request("GET", "/healthz")
    gateway.request("GET", "/nowhere")
    assert next_message(gateway) == "gateway: 404 - -"


def test_refusal_tells_which_limit_it_was(gateway: Gateway) -> None:
    with gateway.upstream("auth"):
        for _ in range(40):
            gateway.request("POST", "/api/auth/token")
    assert next_message(gateway) == "gateway: 429 PASSED REJECTED"


def test_limit_of_requests_is_another_one() -> None:
    with running_gateway(CONNECTIONS_PER_ADDRESS="1") as gateway, gateway.upstream("tasks") as tasks:

        def respond(received: object) -> None:
            # During the one request that is allowed.
            gateway.request("GET", "/api/tasks")

        tasks.respond = respond
        gateway.request("GET", "/api/tasks")
        assert next_message(gateway) == "gateway: 429 REJECTED PASSED"


def test_message_has_nothing_that_a_client_chose(gateway: Gateway) -> None:
    gateway.raw(b"BREW /secret?secret HTTP/1.1\r\nHost: secret\r\nUser-Agent: secret\r\nConnection: close\r\n\r\n")
    assert re.fullmatch(r"gateway: \d{3} - -", next_message(gateway))
