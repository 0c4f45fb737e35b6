"""The messages that wake the workers, and the Celery task that handles them."""

import pytest
from celery import signals
from django.db import OperationalError, ProgrammingError
from kombu.exceptions import OperationalError as BrokerUnavailable

from scheduler_service.celery import app
from tests.webhooks.support import make_delivery, make_endpoint
from webhooks import sender, tasks
from webhooks.steps import CleanUp, RelayEvents, WakeWorkers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent(monkeypatch) -> list[dict[str, object]]:
    messages: list[dict[str, object]] = []
    monkeypatch.setattr(tasks.deliver, "apply_async", lambda **options: messages.append(options))
    return messages


def test_message_is_sent_where_something_is_due(sent):
    WakeWorkers()()
    assert sent == []
    make_delivery(make_endpoint())
    WakeWorkers()()
    assert sent == [{"expires": 5, "retry": False}]


def test_messages_go_to_a_queue_of_their_own():
    assert app.amqp.router.route({}, "webhooks.deliver")["queue"].name == "task-api.webhooks"


def test_broker_that_is_unavailable_is_the_relays_to_handle(monkeypatch):
    def unavailable(**options: object) -> None:
        raise BrokerUnavailable

    monkeypatch.setattr(tasks.deliver, "apply_async", unavailable)
    make_delivery(make_endpoint())
    with pytest.raises(BrokerUnavailable):
        WakeWorkers()()


def test_steps_do_no_harm_when_there_is_nothing_to_do(sent):
    for _ in range(2):
        for step in (RelayEvents(), WakeWorkers(), CleanUp()):
            step()
    assert sent == []


def test_database_that_is_unavailable_is_no_error(monkeypatch, caplog):
    def unavailable() -> None:
        raise OperationalError("unavailable")

    monkeypatch.setattr(sender, "deliver_due", unavailable)
    tasks.deliver.run()
    assert [record.getMessage() for record in caplog.records] == ["database unavailable"]


def test_defect_is_not_taken_for_an_outage(monkeypatch):
    def defect() -> None:
        raise ProgrammingError

    monkeypatch.setattr(sender, "deliver_due", defect)
    with pytest.raises(ProgrammingError):
        tasks.deliver.run()


def test_process_that_ends_finishes_what_it_sends(monkeypatch):
    finished = []
    monkeypatch.setattr(sender, "finish", lambda: finished.append(True))
    signals.worker_process_shutdown.send(sender=None, pid=1, exitcode=0)
    assert finished == [True]
