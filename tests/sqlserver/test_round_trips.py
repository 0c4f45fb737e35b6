"""A request needs one round trip to SQL Server once its connection has prepared the statement."""

from collections.abc import Callable
from typing import Any

from support.proxy import Proxy

from .conftest import THREADS, Service

REQUESTS = 20


def test_a_request_is_one_round_trip(proxy: Proxy, start: Callable[..., Service]) -> None:
    service = start()
    path = f"/api/tasks/{service.request('POST', '/api/tasks', {'title': 'Count', 'duration': 5})[1]['id']}"
    calls: dict[str, tuple[str, str, Any]] = {
        "list": ("GET", "/api/tasks", None),
        "retrieve": ("GET", path, None),
        "create": ("POST", "/api/tasks", {"title": "Count", "duration": 5}),
        "rename": ("PATCH", path, {"title": "Counted"}),
    }
    trips = {name: round_trips(service, proxy, call) for name, call in calls.items()}
    # A thread that was idle for a moment first checks its connection.
    assert max(trips.values()) < 1.5 * REQUESTS, trips


def round_trips(service: Service, proxy: Proxy, call: tuple[str, str, Any]) -> int:
    """Return the round trips of REQUESTS requests, after enough others that every thread has prepared the statement."""
    for _ in range(10 * THREADS):
        assert service.request(*call)[0] < 300
    before = proxy.round_trips
    for _ in range(REQUESTS):
        assert service.request(*call)[0] < 300
    return proxy.round_trips - before
