"""A crowd of connections from one client: its limit, the refusals beyond it, and the service to other clients."""

import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest

from support.gateway import Gateway, Received, running_gateway
from support.http import Response, assert_problem, exchange
from support.waiting import wait_until

HALF_A_HEADER = b"GET /api/tasks HTTP/1.1\r\nHost: a"
HALF_A_BODY = b"POST /api/tasks HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345"
# The client's address is taken from X-Forwarded-For.
TRUSTING = {"server_tokens off;": "server_tokens off; set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;"}


@contextmanager
def busy_gateway(*, limit: int, replace: dict[str, str] | None = None) -> Iterator[tuple[Gateway, Callable[..., None]]]:
    """Run a gateway in front of a service that responds to /api/tasks/slow only at the end of the test.

    Yield the gateway and a function that sends such a request and returns once the service has it, or raises Refused.
    """
    ending = threading.Event()

    def respond(received: Received) -> Response:
        if received.path == "/api/tasks/slow":
            ending.wait(30)
        return Response()

    with (
        running_gateway(CONNECTIONS_PER_ADDRESS=str(limit), replace={**TRUSTING, **(replace or {})}) as gateway,
        gateway.upstream("tasks", respond) as upstream,
        ThreadPoolExecutor(40) as pool,
    ):

        def occupy(*, address: str) -> None:
            request = pool.submit(slow_request, gateway, address)
            wait_until(lambda: len(upstream.received) > len(occupied) or request.done(), timeout=10)
            if request.done():
                raise Refused(request.result())
            occupied.append(request)

        occupied: list[Future[Response | None]] = []
        try:
            yield gateway, occupy
        finally:
            ending.set()
        assert all(request.result().status == 200 for request in occupied)


class Refused(Exception):
    """A slow request was refused: ``response`` is the immediate response, None if the connection was closed."""

    def __init__(self, response: Response | None) -> None:
        super().__init__(response)
        self.response = response


def slow_request(gateway: Gateway, address: str) -> Response | None:
    try:
        return request_from(gateway, address, path="/api/tasks/slow")
    except ConnectionError:
        return None


def request_from(gateway: Gateway, address: str, *, path: str = "/api/tasks") -> Response:
    return gateway.request("GET", path, headers={"X-Forwarded-For": address})


def connect(gateway: Gateway, request: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
    connection.sendall(request)
    return connection


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow this process as many open files as the machine permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_requests_at_once_than_a_client_may_have_are_a_429() -> None:
    with busy_gateway(limit=3) as (gateway, occupy):
        for _ in range(3):
            occupy(address="192.0.2.1")
        refused = request_from(gateway, "192.0.2.1")
        another = request_from(gateway, "192.0.2.2")

    assert "simultaneous" in assert_problem(refused, 429, "too-many-requests")["detail"]
    assert refused.headers.get_all("Retry-After") == ["1"]
    # These headers describe another limit.
    assert (refused.headers["RateLimit-Policy"], refused.headers["RateLimit"]) == (None, None)
    assert another.status == 200


def test_a_place_is_free_again_when_its_request_ends() -> None:
    with busy_gateway(limit=1) as (gateway, _):
        for _ in range(3):
            # A worker process may release the place just after the client receives the response.
            wait_until(lambda: request_from(gateway, "192.0.2.1").status == 200, timeout=5)


def test_the_probe_of_a_client_at_its_limit_is_answered() -> None:
    with busy_gateway(limit=1) as (gateway, occupy):
        occupy(address="192.0.2.1")
        assert request_from(gateway, "192.0.2.1", path="/healthz").status == 200


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        # The bytes of an IPv4 address at the start of an IPv6 address.
        ("c000:201::1", "192.0.2.1", False),
    ],
)
def test_an_ipv6_network_of_64_bits_is_one_client(first: str, second: str, together: bool) -> None:
    with busy_gateway(limit=1) as (gateway, occupy):
        occupy(address=first)
        assert request_from(gateway, second).status == (429 if together else 200)


def test_logins_from_all_addresses_of_an_ipv6_network_are_counted_together() -> None:
    def login(address: str) -> int:
        return gateway.request("POST", "/api/auth/token", headers={"X-Forwarded-For": address}).status

    limited = running_gateway(AUTH_RATE_LIMIT="1", replace=TRUSTING)
    with limited as gateway, gateway.upstream("auth"), ThreadPoolExecutor(8) as pool:
        one_network = list(pool.map(login, [f"2001:db8:0:1::{number}" for number in range(1, 41)]))
        many_networks = list(pool.map(login, [f"2001:db8:1:{number}::1" for number in range(1, 41)]))

    # One plus a burst of 20, and a few more if a slow machine takes a second or two.
    assert 21 <= one_network.count(200) <= 25
    assert set(one_network) == {200, 429}
    assert set(many_networks) == {200}


def test_slow_bodies_count_and_leave_the_others_alone() -> None:
    with running_gateway(CONNECTIONS_PER_ADDRESS="3") as gateway, gateway.upstream("tasks") as upstream:
        slow = [connect(gateway, HALF_A_BODY) for _ in range(3)]
        wait_until(lambda: gateway.request("GET", "/api/tasks").status == 429, timeout=10)
        for connection in slow:
            connection.sendall(b"67890")
            assert exchange(connection, method="POST").status == 200
            connection.close()
        wait_until(lambda: gateway.request("GET", "/api/tasks").status == 200, timeout=5)

    assert [received.body for received in upstream.received if received.method == "POST"] == [b"1234567890"] * 3


def test_thousands_of_half_sent_headers_leave_the_others_alone(many_files: None) -> None:
    with running_gateway() as gateway, gateway.upstream("tasks"), ExitStack() as crowd:
        for _ in range(2_100):
            crowd.enter_context(connect(gateway, HALF_A_HEADER))
        for _ in range(20):
            started = time.monotonic()
            assert gateway.request("GET", "/api/tasks").status == 200
            assert time.monotonic() - started < 1


def test_half_a_header_has_little_time() -> None:
    with running_gateway() as gateway, connect(gateway, HALF_A_HEADER) as connection:
        started = time.monotonic()
        # nginx sends no response in this case: it closes the connection.
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        assert 4 < time.monotonic() - started < 9


def test_a_crowd_waits_for_its_refusals() -> None:
    with (
        busy_gateway(limit=1, replace={"rate=500r/s": "rate=10r/s"}) as (gateway, occupy),
        ThreadPoolExecutor(11) as pool,
    ):
        occupy(address="192.0.2.1")
        started = time.monotonic()
        refused = list(pool.map(lambda _: request_from(gateway, "192.0.2.1"), range(11)))
        took = time.monotonic() - started
        another = request_from(gateway, "192.0.2.2")

    for response in refused:
        assert_problem(response, 429, "too-many-requests")
    assert took > 0.9
    assert another.status == 200


def test_a_gateway_without_a_free_connection_says_503() -> None:
    # A request uses two connections. With one left, nginx reads the request but cannot connect to the service; with
    # none left, it closes the client's unread. Which happens depends on how many connections nginx itself needs.
    refusals = [first_refusal(others=others) for others in (0, 1)]

    (response,) = [refusal for refusal in refusals if refusal is not None]
    assert_problem(response, 503, "service-unavailable")
    assert response.headers.get_all("Retry-After") == ["5"]


def first_refusal(*, others: int) -> Response | None:
    """Fill a gateway of 32 connections with requests; return its response to the first that it cannot serve.

    Return None if it closed that connection immediately. ``others`` is the number of additional connections without a
    request.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # As the launcher computes it, also on a machine that permits fewer files.
    room = f"worker_connections {min(10_240, most - 64)};"
    small = {"worker_processes 2;": "worker_processes 1;", room: "worker_connections 32;"}
    with busy_gateway(limit=100, replace=small) as (gateway, occupy), ExitStack() as idle:
        for _ in range(others):
            idle.enter_context(connect(gateway, HALF_A_HEADER))
        for _ in range(32):
            try:
                occupy(address="192.0.2.1")
            except Refused as refused:
                return refused.response
    raise AssertionError("32 requests at once fit into 32 connections")
