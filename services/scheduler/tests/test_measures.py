"""The metrics that the relay measures, and the header from which it computes the age of messages."""

import json
import time
from types import SimpleNamespace

import pytest
import redis
import time_machine
from django.utils import timezone
from prometheus_client import REGISTRY

from jobs.models import QUEUED
from jobs.relay import Relay
from scheduler_service import measures
from scheduler_service.celery import app
from scheduler_service.measures import Measure, measure_database, measure_queue
from tests.conftest import MINUTE, SECOND, make_run
from tests.webhooks.support import make_delivery, make_endpoint, store_event
from webhooks.models import Endpoint, Event

pytestmark = pytest.mark.django_db(transaction=True)

NOW = time.time()


@pytest.fixture(autouse=True)
def empty_log():
    # The table belongs to the tasks service, and Django flushes only managed tables.
    Event.objects.all().delete()


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


class Broker:
    """A queue in Redis, oldest message last; Redis is unavailable if ``messages`` is None."""

    def __init__(self, messages):
        self.messages = messages

    def llen(self, key):
        if self.messages is None:
            raise redis.ConnectionError
        assert key.startswith("task-api:task-api.")
        return len(self.messages)

    def lindex(self, key, index):
        return self.messages[index] if self.messages else None


def message(**headers):
    return json.dumps({"body": "", "headers": headers})


def test_what_waits_in_the_database_and_for_how_long():
    now = timezone.now()
    minute = now.replace(second=0, microsecond=0)
    make_run(slot=minute - MINUTE)
    make_run(slot=now - 40 * SECOND, state=QUEUED, requested_by=7)
    store_event(created_at=now - 20 * SECOND)
    make_delivery(endpoint := make_endpoint())
    Endpoint.objects.filter(id=endpoint.id).update(due_at=now - 30 * SECOND)

    measure_database()

    assert value("job_last_tick_timestamp_seconds") == (minute - MINUTE).timestamp()
    assert value("job_runs_queued") == 1
    assert 40 <= value("job_oldest_queued_run_age_seconds") < 50
    assert 20 <= value("webhook_oldest_unread_event_age_seconds") < 30
    assert value("webhook_endpoints_due") == 1
    assert 30 <= value("webhook_oldest_due_delivery_age_seconds") < 40


def test_nothing_that_waits_is_zero():
    measure_database()

    assert value("job_runs_queued") == value("job_oldest_queued_run_age_seconds") == 0
    assert value("webhook_oldest_unread_event_age_seconds") == value("webhook_oldest_due_delivery_age_seconds") == 0


@pytest.mark.parametrize(
    ("messages", "age"),
    [
        ([], 0),
        ([message(**{"task-api-published-at": 1}), message(**{"task-api-published-at": NOW - 50})], 50),
        # From a clock that is ahead, without the header, and from another program.
        ([message(**{"task-api-published-at": NOW + 50})], 0),
        ([message()], 0),
        (["no JSON"], 0),
        (['["a"]'], 0),
    ],
)
def test_queue_has_a_length_and_an_oldest_message(messages, age):
    with time_machine.travel(NOW, tick=False):
        measure_queue(Broker(messages), "task-api.jobs")

    assert value("celery_queue_messages", queue="task-api.jobs") == len(messages)
    assert value("celery_queue_oldest_message_age_seconds", queue="task-api.jobs") == age


def test_message_tells_when_it_was_sent():
    """In the broker's form, in which the relay reads it."""
    sent = []
    with app.connection_for_write("memory://") as connection:
        connection.default_channel.queue_declare(queue="task-api.jobs", auto_delete=False)
        from jobs.tasks import tick

        tick.apply_async(kwargs={"job": "none", "slot": "none"}, connection=connection)
        sent = connection.default_channel.basic_get("task-api.jobs")
    assert abs(sent.headers["task-api-published-at"] - time.time()) < 10


@pytest.fixture
def step(monkeypatch):
    monkeypatch.setattr(measures, "connect", lambda: Broker([]))
    return Measure()


def test_step_measures_every_few_seconds(step, monkeypatch):
    measured = []
    monkeypatch.setattr(measures, "measure_database", lambda: measured.append(time.monotonic()))
    monkeypatch.setattr(measures.time, "monotonic", lambda: 100.0)
    step()
    step()
    assert len(measured) == 1
    monkeypatch.setattr(measures.time, "monotonic", lambda: 105.0)
    step()
    assert len(measured) == 2


@pytest.mark.parametrize(("messages", "up"), [([], 1), (None, 0)])
def test_step_tells_whether_redis_answers_and_when_it_measured(step, messages, up):
    step._redis = Broker(messages)
    step()
    assert value("dependency_up", dependency="redis") == up
    assert abs(value("relay_measured_timestamp_seconds") - time.time()) < 10


@pytest.mark.parametrize("up", [True, False])
def test_relay_tells_whether_the_database_answers(up, settings, tmp_path):
    settings.RELAY_PULSE_FILE = tmp_path / "pulse"

    def hold():
        relay.stop()
        if not up:
            raise ConnectionError
        return True

    relay = Relay({}, leadership=SimpleNamespace(hold=hold, give_up=lambda: None))
    relay.run()
    assert value("dependency_up", dependency="database") == up
