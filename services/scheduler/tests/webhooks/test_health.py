"""The check and the measures of webhooks in /readyz."""

from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.db import OperationalError, connection
from django.test import Client

from jobs.models import RelayLease
from servicekit.http import health as shared_health
from servicekit.http.health import NotReady
from tests.conftest import make_run
from tests.webhooks.support import NOW, SECOND, make_endpoint, store_event
from webhooks import health
from webhooks.health import check_webhooks
from webhooks.models import Endpoint
from webhooks.reader import relay_events

pytestmark = pytest.mark.django_db(transaction=True)

LATE = "are more than 30 s late"


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def readyz(monkeypatch) -> Any:
    monkeypatch.setattr(shared_health, "_redis", lambda: SimpleNamespace(ping=lambda: True))
    make_run(slot=NOW)
    RelayLease.objects.create(id=1, holder="a", beats=1, seen_at=NOW)
    return lambda: Client().get("/readyz").json()


def failure() -> str:
    with pytest.raises(NotReady) as caught:
        check_webhooks()
    return str(caught.value)


def test_nothing_waits(readyz):
    body = readyz()
    assert (body["status"], body["checks"]["webhooks"]) == ("ok", "ok")
    measures = body["measures"]
    assert (measures["oldest_unread_event_seconds"], measures["oldest_due_delivery_seconds"]) == (None, None)
    assert measures["due_webhooks"] == 0


def test_event_that_is_not_read(readyz, clock):
    store_event(created_at=NOW - 30 * SECOND)
    check_webhooks()
    assert readyz()["measures"]["oldest_unread_event_seconds"] == 30
    clock.shift(1)
    assert failure() == LATE
    body = readyz()
    # Degraded: the rest of the API works.
    assert (body["status"], body["checks"]["webhooks"]) == ("degraded", LATE)
    relay_events()
    relay_events()
    check_webhooks()


def test_delivery_that_no_worker_takes(readyz, clock):
    make_endpoint()
    store_event()
    relay_events()
    relay_events()
    clock.shift(30)
    check_webhooks()
    assert readyz()["measures"]["due_webhooks"] == 1
    clock.shift(1)
    assert failure() == LATE


def test_delivery_that_waits_for_its_next_attempt_is_not_late(readyz, clock):
    make_endpoint()
    store_event()
    relay_events()
    relay_events()
    Endpoint.objects.update(failures=3, due_at=NOW + 3600 * SECOND)
    clock.shift(3599)
    check_webhooks()


def test_clock_of_another_machine_that_is_ahead_is_no_negative_lag(readyz):
    store_event(created_at=NOW + SECOND)
    assert readyz()["measures"]["oldest_unread_event_seconds"] == 0


def test_database_unavailable(monkeypatch):
    def unavailable() -> None:
        raise OperationalError

    monkeypatch.setattr(health, "oldest_unread_event", unavailable)
    assert failure() == "are unknown without the database"
    connection.close()
    assert failure() == "are unknown without the database"
