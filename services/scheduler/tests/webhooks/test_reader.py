"""The reader creates deliveries of every event, exactly once and in order."""

import datetime
import logging

import pytest
import time_machine

from servicekit.process.context import request_id
from tests.conftest import note_request
from tests.webhooks.support import MINUTE, NOW, SECOND, make_endpoint, store_event
from webhooks import reader
from webhooks.models import NEVER, Delivery, Endpoint, Gap, Position
from webhooks.reader import GAP_KEPT, relay_events

pytestmark = pytest.mark.django_db(transaction=True)


def delivered_ids(endpoint: Endpoint) -> list[int]:
    return list(Delivery.objects.filter(endpoint=endpoint).order_by("id").values_list("event_id", flat=True))


def gaps() -> list[tuple[int, int]]:
    return list(Gap.objects.order_by("first_id").values_list("first_id", "last_id"))


def position() -> int:
    return Position.objects.get().event_id


@pytest.fixture
def endpoint() -> Endpoint:
    # Sets the position before the tests' first event, since ids do not restart at 1 on every server.
    first = store_event(id=1000, owner_id=99)
    relay_events()
    relay_events()
    Gap.objects.all().delete()
    assert position() == first.id
    return make_endpoint()


@time_machine.travel(NOW, tick=False)
def test_event_becomes_a_delivery_that_is_due():
    endpoint = make_endpoint()
    relay_events()
    event = store_event(id=1, task_id=7, type="task.renamed")

    assert relay_events() == 1

    (row,) = Delivery.objects.values()
    row.pop("id")
    assert row == {
        "endpoint_id": endpoint.id,
        "message_id": event.uuid,
        "type": "task.renamed",
        "event_id": event.id,
        "task_id": 7,
        "state": "pending",
        "due_at": NOW,
        "attempts": 0,
        "attempted_at": NOW,
        "status": 0,
        "latency_ms": 0,
        "error": "",
        "response": "",
        "created_at": NOW,
    }
    assert Endpoint.objects.get().due_at == NOW
    assert position() == event.id


def test_first_pass_begins_with_the_oldest_event():
    endpoint = make_endpoint()
    event = store_event()
    relay_events()
    relay_events()
    assert delivered_ids(endpoint) == [event.id]


def test_event_goes_to_its_owners_endpoints_that_want_it_and_are_enabled(endpoint):
    other_owner = make_endpoint(owner_id=2, slot=0)
    other_type = make_endpoint(events="task.deleted,task.renamed")
    disabled = make_endpoint(enabled=False, disabled_reason="owner")
    deleted = make_endpoint(slot=-1)
    second = make_endpoint(events="task.created")
    event = store_event(id=1001)

    relay_events()

    assert delivered_ids(endpoint) == delivered_ids(second) == [event.id]
    assert Delivery.objects.exclude(endpoint__in=[endpoint, second]).count() == 0
    for silent in (other_owner, other_type, disabled, deleted):
        assert Endpoint.objects.get(id=silent.id).due_at == NEVER


class TestEventsOfOwnersWithoutWebhooks:
    def test_are_passed_over_by_one_write(self, endpoint, django_assert_num_queries):
        events = [store_event(id=number, owner_id=98) for number in (1001, 1002)]
        # Position, gaps, events and endpoints are read; BEGIN and COMMIT would be two more.
        with django_assert_num_queries(5):
            assert relay_events() == 2
        assert (position(), gaps()) == (events[-1].id, [])
        assert relay_events() == 0

    def test_leave_a_gap_where_an_id_is_missing(self, endpoint):
        store_event(id=1001, owner_id=98)
        store_event(id=1004, owner_id=98)
        assert relay_events() == 2
        assert (position(), gaps()) == (1004, [(1002, 1003)])

    def test_do_not_move_the_position_back_if_another_relay_has_moved_it(self, endpoint, monkeypatch):
        store_event(id=1001, owner_id=98)
        listeners = reader._listeners

        def move_position_meanwhile(owner_ids):
            if position() == 1000:
                wanted = store_event(id=1002)
                monkeypatch.setattr(reader, "_listeners", listeners)
                assert relay_events() == 2
                assert delivered_ids(endpoint) == [wanted.id]
            return listeners(owner_ids)

        monkeypatch.setattr(reader, "_listeners", move_position_meanwhile)
        assert relay_events() == 0
        assert position() == 1002
        assert delivered_ids(endpoint) == [1002]

    def test_do_not_hide_an_event_of_an_endpoint_that_is_created_meanwhile(self, endpoint, monkeypatch):
        store_event(id=1001, owner_id=98)
        listeners, created = reader._listeners, []

        def create_endpoint_afterwards(owner_ids):
            found = listeners(owner_ids)
            if not created:
                created.append(make_endpoint(owner_id=98, slot=0))
                store_event(id=1002, owner_id=98)
            return found

        monkeypatch.setattr(reader, "_listeners", create_endpoint_afterwards)
        while relay_events():
            pass
        assert delivered_ids(created[0]) == [1002]


def test_line_of_a_relayed_event_has_the_id_of_the_request_that_made_it(endpoint, caplog):
    before = request_id()
    caplog.handler.addFilter(note_request)
    caplog.set_level(logging.INFO, logger="webhooks.reader")
    make_endpoint(slot=1)
    event = store_event(id=1001, request_id="a" * 32)
    store_event(id=1002, owner_id=98, request_id="b" * 32)

    relay_events()

    assert [
        (record.getMessage(), record.of_request, record.message_id, record.webhooks) for record in caplog.records
    ] == [("event relayed", "a" * 32, event.uuid, 2)]
    assert request_id() == before


def test_nothing_is_delivered_twice(endpoint):
    store_event(id=1001)
    for _ in range(3):
        relay_events()
    assert delivered_ids(endpoint) == [1001]


def test_idle_pass_writes_nothing(endpoint, django_assert_num_queries):
    with django_assert_num_queries(3):
        assert relay_events() == 0


def test_backlog_is_read_in_pieces(endpoint, monkeypatch):
    monkeypatch.setattr(reader, "EVENTS_AT_ONCE", 2)
    for number in range(1001, 1006):
        store_event(id=number)
    assert [relay_events() for _ in range(4)] == [2, 2, 1, 0]
    assert delivered_ids(endpoint) == [1001, 1002, 1003, 1004, 1005]
    assert gaps() == []


class TestGap:
    def test_later_events_do_not_wait_for_a_missing_one(self, endpoint):
        store_event(id=1003)
        relay_events()
        assert delivered_ids(endpoint) == [1003]
        assert gaps() == [(1001, 1002)]

    def test_late_event_is_delivered_when_it_appears(self, endpoint):
        store_event(id=1004)
        relay_events()
        store_event(id=1002, task_id=2)
        relay_events()
        assert delivered_ids(endpoint) == [1004, 1002]
        assert gaps() == [(1001, 1001), (1003, 1003)]
        store_event(id=1003, task_id=3)
        store_event(id=1001, task_id=4)
        relay_events()
        assert delivered_ids(endpoint) == [1004, 1002, 1001, 1003]
        assert gaps() == []

    def test_jump_of_the_identity_is_one_row(self, endpoint):
        store_event(id=11_000)
        store_event(id=21_000)
        relay_events()
        assert gaps() == [(1001, 10_999), (11_001, 20_999)]
        store_event(id=15_000, task_id=2)
        relay_events()
        assert delivered_ids(endpoint) == [11_000, 21_000, 15_000]

    def test_more_gaps_than_fit_into_a_statement(self, endpoint, monkeypatch):
        monkeypatch.setattr(reader, "GAPS_AT_ONCE", 2)
        for number in range(1002, 1012, 2):
            store_event(id=number)
        relay_events()
        for number in range(1001, 1011, 2):
            store_event(id=number, task_id=number)
        relay_events()
        assert delivered_ids(endpoint) == [1002, 1004, 1006, 1008, 1010, 1001, 1003, 1005, 1007, 1009]
        assert gaps() == []

    def test_is_given_up_when_no_transaction_can_be_that_old(self, endpoint, caplog):
        caplog.set_level(logging.INFO, logger="webhooks.reader")
        with time_machine.travel(NOW, tick=False):
            store_event(id=1003)
            relay_events()
        with time_machine.travel(NOW + GAP_KEPT - SECOND, tick=False):
            relay_events()
            assert gaps() == [(1001, 1002)]
        with time_machine.travel(NOW + GAP_KEPT, tick=False):
            relay_events()
        assert gaps() == []
        (_, record) = caplog.records
        assert (record.getMessage(), record.first_id, record.last_id) == ("event ids given up", 1001, 1002)

    def test_is_kept_for_longer_than_any_transaction_lasts(self):
        """A request has 15 s at the gateway, and each statement 10 s; the rest allows for a frozen process."""
        assert 4 * MINUTE + datetime.timedelta(minutes=10) <= GAP_KEPT


def test_pass_that_died_leaves_nothing_behind(endpoint, monkeypatch):
    """All writes of a pass are committed together with the position, or not at all."""
    store_event(id=1002)

    def crash(*arguments: object, **keywords: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reader, "_open_gaps", crash)
    with pytest.raises(KeyboardInterrupt):
        relay_events()
    assert (delivered_ids(endpoint), position()) == ([], 1000)

    monkeypatch.undo()
    relay_events()
    assert (delivered_ids(endpoint), position(), gaps()) == ([1002], 1002, [(1001, 1001)])


def test_whoever_sees_an_event_of_a_task_sees_the_earlier_ones(endpoint, monkeypatch):
    """Two events of a task become visible between two statements of a pass; the later one is never delivered alone.

    The statements read ids in descending order. So of the events that become visible in between, a pass sees only the
    earlier one, or none.
    """
    for number in (1002, 1004):
        store_event(id=number)
    relay_events()
    monkeypatch.setattr(reader, "GAPS_AT_ONCE", 1)
    real = reader._events_in
    passes = []

    def commit_after_the_first(chunk: list[Gap]) -> object:
        found = list(real(chunk))
        if not passes:
            store_event(id=1001, task_id=7, type="task.created")
            store_event(id=1003, task_id=7, type="task.renamed")
        passes.append(chunk)
        return found

    monkeypatch.setattr(reader, "_events_in", commit_after_the_first)
    relay_events()
    relay_events()
    assert [event_id for event_id in delivered_ids(endpoint) if event_id in (1001, 1003)] == [1001, 1003]
