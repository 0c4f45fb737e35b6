"""TRUSTED_PROXIES: the client's address for services, limits and logs when the gateway is behind another proxy."""

import json
import socket

import pytest

from support.gateway import Gateway, Received, running_gateway
from support.http import Response, exchange

PROXIES = "127.0.0.1,192.0.2.0/24,2001:db8:1::/48"


def forwarded(gateway: Gateway, **headers: str) -> Received:
    """Return a request as the service received it."""
    with gateway.upstream("tasks") as upstream:
        gateway.request("GET", "/api/tasks", headers={name.replace("_", "-"): text for name, text in headers.items()})
    (received,) = upstream.received
    return received


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        ("198.51.100.9", "198.51.100.9"),
        ("198.51.100.9, 192.0.2.7", "198.51.100.9"),
        # Addresses that the client itself has added come first.
        ("203.0.113.1, 198.51.100.9, 192.0.2.7", "198.51.100.9"),
        ("192.0.2.1, 198.51.100.9", "198.51.100.9"),
        ("2001:db8::9, 2001:db8:1::7", "2001:db8::9"),
        ("2001:db8:1::7, 2001:db8::9, 192.0.2.7", "2001:db8::9"),
        ("nonsense", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_client_is_the_last_address_of_the_chain_that_is_no_proxy(chain: str, address: str) -> None:
    with running_gateway(TRUSTED_PROXIES=PROXIES) as gateway:
        assert forwarded(gateway, X_Forwarded_For=chain).headers["X-Forwarded-For"] == address


@pytest.mark.parametrize("proxies", ["", "192.0.2.1", "::1"])
def test_peer_that_is_no_proxy_is_not_believed(proxies: str) -> None:
    with running_gateway(TRUSTED_PROXIES=proxies) as gateway:
        received = forwarded(gateway, X_Forwarded_For="198.51.100.9", X_Forwarded_Proto="https")

    assert received.headers["X-Forwarded-For"] == "127.0.0.1"
    assert received.headers["X-Forwarded-Proto"] == "http"


@pytest.mark.parametrize(("given", "scheme"), [("https", "https"), ("http", "http"), ("gopher", "http"), ("", "http")])
def test_proxy_says_which_scheme_the_client_used(given: str, scheme: str) -> None:
    with running_gateway(TRUSTED_PROXIES=PROXIES) as gateway:
        assert forwarded(gateway, X_Forwarded_Proto=given).headers["X-Forwarded-Proto"] == scheme


def test_proxy_connects_by_ipv6() -> None:
    request = b"GET /api/tasks HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 2001:db8::9\r\n\r\n"
    by_ipv6 = running_gateway(TRUSTED_PROXIES="::1", GATEWAY_ADDRESS="::")
    with by_ipv6 as gateway, gateway.upstream("tasks") as upstream:
        connection = socket.create_connection(("::1", gateway.port), timeout=30)
        with connection:
            exchange(connection, request)
    (received,) = upstream.received
    assert received.headers["X-Forwarded-For"] == "2001:db8::9"


def attempts(gateway: Gateway, address: str, count: int = 30) -> list[Response]:
    headers = {"X-Forwarded-For": address}
    return [gateway.request("POST", "/api/auth/token", headers=headers, body=b"{}") for _ in range(count)]


def test_limits_count_each_client_by_itself() -> None:
    with running_gateway(TRUSTED_PROXIES=PROXIES, AUTH_RATE_LIMIT="1") as gateway, gateway.upstream("auth"):
        greedy = attempts(gateway, "198.51.100.9")
        # Addresses in the same /64 are one client.
        network = attempts(gateway, "2001:db8::1") + attempts(gateway, "2001:db8::2", 5)
        others = attempts(gateway, "198.51.100.10", 5) + attempts(gateway, "2001:db8:0:1::1", 5)

    assert {response.status for response in greedy[-3:]} == {response.status for response in network[-3:]} == {429}
    assert {response.status for response in others} == {200}


def test_log_names_the_client() -> None:
    with running_gateway(TRUSTED_PROXIES=PROXIES) as gateway:
        gateway.request("GET", "/nowhere", headers={"X-Forwarded-For": "198.51.100.9, 192.0.2.7"})
        line = json.loads(gateway.log(lines=1))

    assert line["client"] == "198.51.100.9"
