"""The database becomes unavailable and recovers, seen by a real tasks service on granian, through a proxy."""

import time
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

import pytest

from support.commands import manage, output_of, program
from support.proxy import Proxy
from support.sqlserver import Server

from .conftest import THREADS, Service, warm

# Measured by the service itself: delays that a busy machine adds on the way to a client do not count.
ANSWERED_WITHIN_SECONDS = 4
# Includes the server's time to accept new connections.
RECOVERED_WITHIN_SECONDS = 30
# nginx/gateway.conf.template: proxy_read_timeout. After that the gateway gives up on the service.
GATEWAY_SECONDS = 15

CALLS = [
    ("GET", "/api/tasks", None),
    ("POST", "/api/tasks", {"title": "While away", "duration": 5}),
    ("GET", "/api/tasks/1", None),
    ("PATCH", "/api/tasks/1", {"title": "While away"}),
]


def assert_unavailable(service: Service) -> float:
    """Check that every request gets a 503 in time and /readyz names the database; return the longest time."""
    before = len(service.durations())
    for call in (*CALLS, *CALLS):
        status, body = service.request(*call)
        assert (status, body["type"]) == (503, "/problems/service-unavailable"), call
    status, body = service.request("GET", "/readyz")
    assert (status, body["checks"]["database"]) == (503, "does not respond")
    durations = service.durations()[before:]
    assert len(durations) == 2 * len(CALLS) + 1
    assert max(durations) < ANSWERED_WITHIN_SECONDS
    return max(durations)


def assert_recovers(service: Service) -> float:
    """Check that the same process recovers after at most one failure per thread; return the time in seconds."""
    started = time.monotonic()
    failures = good = 0
    while good < 8:
        good, failures = (good + 1, failures) if service.request("GET", "/api/tasks")[0] == 200 else (0, failures + 1)
        assert failures <= THREADS
        assert time.monotonic() - started < RECOVERED_WITHIN_SECONDS
    assert service.request("GET", "/readyz")[0] == 200
    assert service.process.poll() is None
    return time.monotonic() - started


@pytest.mark.parametrize("fault", ["cut", "swallow"])
def test_away_at_the_start(proxy: Proxy, start: Callable[..., Service], fault: str) -> None:
    getattr(proxy, fault)()
    service = start()
    longest = assert_unavailable(service)
    proxy.work()
    print(f"{fault} at the start: responded in {longest:.1f} s, recovered in {assert_recovers(service):.1f} s")


# Not "swallow": neither driver times out soon enough on an open connection (docs/sqlserver.md).
def test_away_in_the_middle(proxy: Proxy, start: Callable[..., Service]) -> None:
    service = start()
    warm(service)
    proxy.cut()
    longest = assert_unavailable(service)
    proxy.work()
    print(f"cut in the middle: responded in {longest:.1f} s, recovered in {assert_recovers(service):.1f} s")


def test_restart_between_two_requests_costs_none_of_them(proxy: Proxy, start: Callable[..., Service]) -> None:
    service = start()
    warm(service)
    proxy.cut()
    proxy.work()
    assert [service.request("GET", "/api/tasks")[0] for _ in range(8)] == [200] * 8


# Only with pyodbc: mssql-python did not cancel it within 40 s (docs/sqlserver.md).
def test_statement_that_takes_too_long_is_ended(server: Server) -> None:
    url = f"{server.create(python_driver='pyodbc')}&query_timeout=1"
    error, unavailable, seconds = output_of(manage(*program("any/slow_query"), DATABASE_URL=url)).split()
    assert (error, unavailable) == ("OperationalError", "True")
    # The driver then waits for the server to confirm the cancellation, about 2 s more.
    assert 0.9 < float(seconds) < GATEWAY_SECONDS


def test_database_that_is_dropped_and_made_again(
    server: Server, proxy: Proxy, start: Callable[..., Service], database: str
) -> None:
    driver = dict(parse_qsl(urlsplit(database).query))["python_driver"]
    own = server.create(python_driver=driver, migrate=("tasks",))
    service = start(own)
    warm(service)
    proxy.cut()
    server.drop(own)
    proxy.work()
    longest = assert_unavailable(service)
    for command in (("database",), ("migrate", "--verbosity", "0")):
        assert manage(*command, DATABASE_URL=own).returncode == 0
    print(f"no such database: responded in {longest:.1f} s, recovered in {assert_recovers(service):.1f} s")
