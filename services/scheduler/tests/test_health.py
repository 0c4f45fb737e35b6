"""/readyz names what fails, and nothing else does."""

import socket
import time
from types import SimpleNamespace

import pytest
import time_machine
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from jobs import health
from servicekit.http import health as shared_health
from servicekit.http.health import NotReady
from servicekit.process import redis_client
from tests.conftest import MINUTE, SECOND, SLOT, make_run

pytestmark = pytest.mark.django_db

CHECKS = {"database": "ok", "redis": "ok", "beat": "ok"}


@pytest.fixture
def redis_up(monkeypatch):
    """Redis answers."""
    monkeypatch.setattr(shared_health, "_redis", lambda: SimpleNamespace(ping=lambda: True))


@pytest.fixture
def redis_socket(settings, tmp_path):
    """Where Redis should listen, and does not."""
    path = str(tmp_path / "redis.sock")
    settings.REDIS_URL = f"unix://{path}"
    shared_health._redis.cache_clear()
    yield path
    shared_health._redis().close()
    shared_health._redis.cache_clear()


@pytest.fixture
def started(monkeypatch):
    """The process started at the slot."""
    monkeypatch.setattr(health, "_started_at", SLOT)


def checks(response) -> dict[str, str]:
    assert response.status_code == (200 if response.json()["checks"] == CHECKS else 503)
    return response.json()["checks"]


def test_all_well(anonymous, redis_up, started):
    make_run(slot=SLOT + 5 * MINUTE, started_at=SLOT + 5 * MINUTE)
    with time_machine.travel(SLOT + 5 * MINUTE + 89 * SECOND), CaptureQueriesContext(connection) as queries:
        response = anonymous("GET", "/readyz")
    assert (response.status_code, checks(response)) == (200, CHECKS)
    assert len(queries) == 2


def test_redis_away(anonymous, redis_socket):
    response = anonymous("GET", "/readyz")
    assert checks(response) == {**CHECKS, "redis": "does not answer"}
    assert redis_socket not in response.text


def test_redis_frozen_is_waited_for_once(anonymous, redis_socket, monkeypatch):
    monkeypatch.setattr(redis_client, "TIMEOUT_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(redis_socket)
        frozen.listen()
        started = time.monotonic()
        response = anonymous("GET", "/readyz")
        took = time.monotonic() - started
    assert checks(response) == {**CHECKS, "redis": "does not answer"}
    assert 0.2 <= took < 0.4


@pytest.mark.parametrize(("after", "result"), [(90, "ok"), (91, "has not ticked for 90 s")])
def test_first_tick_has_90_s_from_the_start(anonymous, redis_up, started, after, result):
    make_run(slot=SLOT - 60 * MINUTE)
    with time_machine.travel(SLOT + after * SECOND, tick=False):
        assert checks(anonymous("GET", "/readyz")) == {**CHECKS, "beat": result}


@pytest.mark.parametrize(("after", "result"), [(90, "ok"), (91, "has not ticked for 90 s")])
def test_last_tick_is_not_older_than_90_s(anonymous, redis_up, started, after, result):
    last = SLOT + 60 * MINUTE
    make_run(slot=last, started_at=last)
    with time_machine.travel(last + after * SECOND, tick=False):
        assert checks(anonymous("GET", "/readyz")) == {**CHECKS, "beat": result}


def test_database_away_is_not_waited_for_twice(monkeypatch, django_assert_num_queries):
    """An attempt to connect takes up to 3 s, and the gateway does not wait for two."""
    monkeypatch.setattr(health, "connection", SimpleNamespace(connection=None))
    with django_assert_num_queries(0), pytest.raises(NotReady, match="is unknown without the database"):
        health.check_beat()


def test_database_is_asked_first(anonymous, redis_up):
    assert list(anonymous("GET", "/readyz").json()["checks"]) == ["database", "redis", "beat"]


def test_database_lost_between_the_checks(anonymous, redis_up, monkeypatch):
    def lost() -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(health, "last_tick", lost)
    assert checks(anonymous("GET", "/readyz")) == {**CHECKS, "beat": "is unknown without the database"}


def test_liveness_touches_nothing(anonymous, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert anonymous("GET", "/healthz").json() == {"status": "ok"}
