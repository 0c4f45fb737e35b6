"""Deliveries to receivers on real sockets, verified as a receiver would."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError
from prometheus_client import REGISTRY
from standardwebhooks.webhooks import Webhook

from servicekit.process.context import request_id
from tests.webhooks.support import Receiver, make_delivery, make_endpoint, receiving
from webhooks import sender
from webhooks.claims import Message
from webhooks.models import Delivery, Endpoint, Event
from webhooks.sender import TRACKS, deliver_due, split_tracks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.enable_socket]


@pytest.fixture(autouse=True)
def local_receivers(settings) -> Iterator[None]:
    settings.WEBHOOK_ALLOW_PRIVATE_NETWORKS = True
    yield
    sender.finish()


def hang(handler: Any) -> None:
    """Do not respond before the end of the test."""
    handler.server.stopping.wait(10)
    handler.close_connection = True


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail after five seconds."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def states() -> list[str]:
    return list(Delivery.objects.order_by("id").values_list("state", flat=True))


def received_ids(receiver: Receiver) -> list[str]:
    return [headers["webhook-id"] for headers, _ in receiver.received]


def test_delivery_arrives_and_verifies():
    with receiving() as receiver:
        endpoint = make_endpoint(url=receiver.url)
        delivery = make_delivery(endpoint, task_id=7)
        assert deliver_due() == 1

    [(headers, body)] = receiver.received
    message = Webhook(endpoint.plain_secret).verify(body, headers)
    assert (message["type"], message["data"]["id"]) == ("task.created", 7)
    assert headers["webhook-id"] == delivery.message_id
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Request-ID"] == "f" * 32
    assert states() == ["delivered"]


def test_ping_arrives_and_verifies():
    with receiving() as receiver:
        endpoint = make_endpoint(url=receiver.url)
        make_delivery(endpoint, event_id=0, task_id=0, type="webhook.ping")
        deliver_due()
    [(headers, body)] = receiver.received
    assert Webhook(endpoint.plain_secret).verify(body, headers)["data"] == {"webhook_id": endpoint.id}
    assert "X-Request-ID" not in headers


def test_old_and_new_secret_verify():
    old = make_endpoint()
    with receiving() as receiver:
        far_future = old.created_at.replace(year=old.created_at.year + 1)
        endpoint = make_endpoint(url=receiver.url, previous_secret=old.secret, previous_until=far_future)
        make_delivery(endpoint)
        deliver_due()
    [(headers, body)] = receiver.received
    assert Webhook(old.plain_secret).verify(body, headers)
    assert Webhook(endpoint.plain_secret).verify(body, headers)


def test_whatever_is_claimed_is_recorded_when_the_time_is_over(monkeypatch):
    """A batch that was claimed but not recorded would be sent a second time after its claim expired."""
    monkeypatch.setattr(sender, "SLICE_SECONDS", 0.05)
    with receiving() as receiver:
        endpoint = make_endpoint(url=receiver.url)
        for number in range(100):
            make_delivery(endpoint, task_id=number + 1)
        while deliver_due():
            assert Endpoint.objects.get().claim == ""
    assert len(receiver.received) == 100
    assert set(states()) == {"delivered"}


def test_nothing_due_sends_nothing():
    assert deliver_due() == 0


def test_events_of_a_task_arrive_in_order_and_stop_at_a_failure():
    def fail_third(handler: Any) -> None:
        handler.send_response(500 if len(handler.server.received) == 3 else 204)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with receiving(fail_third) as receiver:
        endpoint = make_endpoint(url=receiver.url)
        deliveries = [make_delivery(endpoint, task_id=1) for _ in range(5)]
        deliver_due()

    assert received_ids(receiver) == [delivery.message_id for delivery in deliveries[:3]]
    assert states() == ["delivered", "delivered", "pending", "pending", "pending"]


def test_events_of_several_tasks_are_sent_at_once():
    together = threading.Barrier(TRACKS)

    def wait_for_the_others(handler: Any) -> None:
        together.wait(timeout=5)
        handler.send_response(204)
        handler.end_headers()

    with receiving(wait_for_the_others) as receiver:
        endpoint = make_endpoint(url=receiver.url)
        for number in range(TRACKS):
            make_delivery(endpoint, task_id=number + 1)
        assert deliver_due() == TRACKS


def test_receiver_that_hangs_delays_no_other():
    with receiving(hang) as hanging, receiving() as receiver:
        for slot in range(10):
            endpoint = make_endpoint(url=hanging.url, owner_id=2, slot=slot)
            for number in range(3):
                make_delivery(endpoint, task_id=number + 1)
        make_delivery(make_endpoint(url=receiver.url, slot=0))
        Endpoint.objects.filter(url=receiver.url).update(due_at=endpoint.created_at.replace(year=2100))

        started = time.monotonic()
        deliver_due()
        Endpoint.objects.filter(url=receiver.url).update(due_at=endpoint.created_at)
        deliver_due()
        wait_until(lambda: Delivery.objects.filter(state="delivered").count() == 1)
        assert time.monotonic() - started < 4
        hanging.stopping.set()


def test_what_takes_long_is_recorded_later(monkeypatch):
    monkeypatch.setattr(sender, "PATIENCE_SECONDS", 0.05)
    release = threading.Event()

    def respond(handler: Any) -> None:
        release.wait(5)
        handler.send_response(204)
        handler.end_headers()

    with receiving(respond) as receiver:
        make_delivery(make_endpoint(url=receiver.url))
        assert deliver_due() == 0
        assert states() == ["pending"]
        release.set()
        sender.finish()

    assert states() == ["delivered"]
    assert Endpoint.objects.get().claim == ""


def test_process_that_ends_waits_for_what_it_sends(monkeypatch):
    """As above, but the request is still in flight when the process is told to exit."""
    monkeypatch.setattr(sender, "PATIENCE_SECONDS", 0.05)

    def respond(handler: Any) -> None:
        time.sleep(0.3)
        handler.send_response(204)
        handler.end_headers()

    with receiving(respond) as receiver:
        make_delivery(make_endpoint(url=receiver.url))
        deliver_due()
        sender.finish()
    assert states() == ["delivered"]


def test_outcome_that_cannot_be_recorded_later_is_logged_and_sent_again(monkeypatch, caplog):
    monkeypatch.setattr(sender, "PATIENCE_SECONDS", 0.05)

    def respond(handler: Any) -> None:
        time.sleep(0.3)
        handler.send_response(204)
        handler.end_headers()

    def unavailable(*arguments: object) -> None:
        raise OperationalError

    with receiving(respond) as receiver:
        make_delivery(make_endpoint(url=receiver.url))
        deliver_due()
        with monkeypatch.context() as change:
            change.setattr(sender, "record_batches", unavailable)
            sender.finish()

        assert "deliveries not recorded" in [record.getMessage() for record in caplog.records]
        assert states() == ["pending"]
        Endpoint.objects.update(claimed_until=Endpoint.objects.get().created_at)
        deliver_due()
        sender.finish()
        first, second = received_ids(receiver)
    assert first == second
    assert states() == ["delivered"]


def test_endpoints_that_hang_get_fewer_and_fewer_threads(monkeypatch):
    monkeypatch.setattr(sender, "PATIENCE_SECONDS", 0.05)
    with receiving(hang) as hanging:
        for slot in range(10):
            endpoint = make_endpoint(url=hanging.url, slot=slot)
            for number in range(TRACKS):
                make_delivery(endpoint, task_id=number + 1)
        for _ in range(3):
            deliver_due()
        # 8 + 7 + 7 + 6 + 6 + 5 + 5 + 5 + 4 + 4 of the 80 messages.
        wait_until(lambda: len(hanging.received) == 57)
        assert sender._sender()._free == sender.THREADS - 57
        hanging.stopping.set()


def test_full_process_claims_nothing(monkeypatch):
    monkeypatch.setattr(sender, "THREADS", 1)
    monkeypatch.setattr(sender, "PATIENCE_SECONDS", 0.05)
    with receiving(hang) as hanging, receiving() as receiver:
        make_delivery(make_endpoint(url=hanging.url))
        deliver_due()
        make_delivery(make_endpoint(url=receiver.url))
        deliver_due()
        assert receiver.received == []
        hanging.stopping.set()
        sender.finish()
        deliver_due()
        assert len(receiver.received) == 1


def test_failing_receivers_take_no_more_than_their_share(monkeypatch):
    monkeypatch.setattr(sender, "FAILING_AT_ONCE", 2)
    monkeypatch.setattr(sender, "PATIENCE_SECONDS", 0.05)
    with receiving(hang) as hanging:
        for _ in range(5):
            make_delivery(make_endpoint(url=hanging.url, failures=1))
        for _ in range(3):
            deliver_due()
        assert Endpoint.objects.exclude(claim="").count() == 2
        hanging.stopping.set()


def test_refused_address_is_a_failure_that_says_so(settings):
    settings.WEBHOOK_ALLOW_PRIVATE_NETWORKS = False
    with receiving() as receiver:
        make_delivery(make_endpoint(url=receiver.url))
        deliver_due()
        assert receiver.connections == 0
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.status) == ("pending", 1, 0)
    assert delivery.error == "The host does not resolve to a public address."


def test_defect_costs_one_attempt_and_is_logged(monkeypatch, caplog):
    def defect(*arguments: object, **keywords: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("webhooks.http_client.Client.post", defect)
    make_delivery(make_endpoint())
    deliver_due()
    delivery = Delivery.objects.get()
    assert (delivery.attempts, delivery.error) == (1, "The delivery failed on our side.")
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == ["delivery failed"]


def test_attempt_is_logged_under_the_id_of_its_request(caplog):
    caplog.set_level(logging.INFO, logger="webhooks.sender")
    logged_under = []

    # The log's formatter reads the id when it formats the line.
    def note(record: logging.LogRecord) -> bool:
        logged_under.append(request_id())
        return True

    caplog.handler.addFilter(note)
    with receiving() as receiver:
        endpoint = make_endpoint(url=receiver.url)
        delivery = make_delivery(endpoint)
        deliver_due()
    caplog.handler.removeFilter(note)
    (record,) = caplog.records
    assert (record.getMessage(), record.webhook, record.delivery, record.status) == (
        "delivery",
        endpoint.id,
        delivery.id,
        204,
    )
    assert logged_under == ["f" * 32]


class TestTracks:
    def message(self, delivery_id: int, task_id: int) -> Message:
        return Message(delivery_id=delivery_id, task_id=task_id, message_id="", request_id="", body=b"")

    def test_one_task_is_on_one_track_in_order(self):
        messages = [self.message(number, number % 11) for number in range(1, 100) if number % 11]
        tracks = split_tracks(messages, count=TRACKS)
        assert len(tracks) <= TRACKS
        for task_id in range(1, 11):
            (track,) = [track for track in tracks if any(message.task_id == task_id for message in track)]
            numbers = [message.delivery_id for message in track if message.task_id == task_id]
            assert numbers == sorted(numbers)
        assert sum(map(len, tracks)) == len(messages)

    def test_pings_are_on_several(self):
        assert len(split_tracks([self.message(number, 0) for number in range(3)], count=TRACKS)) == 3

    def test_one_track_takes_everything(self):
        messages = [self.message(number, number) for number in range(1, 9)]
        assert split_tracks(messages, count=1) == [messages]

    def test_no_messages_are_no_tracks(self):
        assert split_tracks([], count=TRACKS) == []


@pytest.mark.parametrize(
    ("response", "outcome"), [(204, "delivered"), (500, "refused"), (hang, "no response"), (None, "expired")]
)
def test_attempt_is_counted_by_its_outcome(response, outcome, monkeypatch):
    monkeypatch.setattr("webhooks.http_client.SECONDS", 0.3)
    monkeypatch.setattr("webhooks.http_client.Client.__init__.__kwdefaults__", {"seconds": 0.3})
    name, labels = "webhook_delivery_duration_seconds_count", {"outcome": outcome}
    before = REGISTRY.get_sample_value(name, labels) or 0
    with receiving(response or 204) as receiver:
        delivery = make_delivery(make_endpoint(url=receiver.url), task_id=7)
        if outcome == "expired":
            Event.objects.filter(id=delivery.event_id).delete()
        deliver_due()
        sender.finish()
    assert REGISTRY.get_sample_value(name, labels) - before == 1
