"""Claims of endpoints, the order of deliveries, and the recording of outcomes."""

import datetime

import pytest
import time_machine
from django.utils import timezone

from tests.webhooks.support import MINUTE, NOW, SECOND, make_delivery, make_endpoint
from webhooks.claims import (
    DELIVERIES_AT_ONCE,
    EVENT_EXPIRED,
    FAILING_LIMIT,
    LEASE,
    Batch,
    Outcome,
    claim_batches,
    record_batches,
)
from webhooks.models import NEVER, Delivery, Endpoint, Event
from webhooks.retry import DELAYS_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

DAY = datetime.timedelta(days=1)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: 0)


def claim(*, healthy: int = 8, failing: int = 8) -> list[Batch]:
    return claim_batches(healthy=healthy, failing=failing)


def claim_one() -> Batch:
    (batch,) = claim()
    return batch


def ids(batch: Batch) -> list[int]:
    return [message.delivery_id for message in batch.messages]


def record(batch: Batch, status: int = 204, **values: object) -> None:
    """Record this response for every message of the batch."""
    outcomes = [
        Outcome(delivery_id=message.delivery_id, attempted_at=NOW, latency_ms=12, status=status, **values)
        for message in batch.messages
    ]
    record_batches([(batch, outcomes)])


class TestClaim:
    def test_is_of_what_is_due_with_what_it_takes_to_send_it(self):
        endpoint = make_endpoint(url="https://receiver.example/")
        delivery = make_delivery(endpoint, task_id=7)
        batch = claim_one()
        (message,) = batch.messages
        assert (batch.endpoint_id, batch.url, batch.secrets) == (
            endpoint.id,
            "https://receiver.example/",
            (endpoint.plain_secret,),
        )
        assert (message.message_id, message.task_id, message.request_id) == (delivery.message_id, 7, "f" * 32)
        assert message.body is not None
        assert b'"type":"task.created"' in message.body

    def test_nothing_due_writes_nothing(self, django_assert_num_queries):
        make_endpoint()
        with django_assert_num_queries(2):
            assert claim() == []

    def test_endpoint_is_claimed_by_one(self):
        make_delivery(make_endpoint())
        assert len(claim()) == 1
        assert claim() == []

    def test_is_free_again_when_its_worker_must_have_died(self, clock):
        make_delivery(make_endpoint())
        first = claim_one()
        clock.shift(LEASE - SECOND)
        assert claim() == []
        clock.shift(SECOND)
        assert ids(claim_one()) == ids(first)

    def test_by_a_clock_that_was_ahead_does_not_last(self, clock):
        make_delivery(make_endpoint())
        clock.move_to(NOW + 365 * DAY)
        Endpoint.objects.update(claimed_until=NOW + 365 * DAY + LEASE)
        clock.move_to(NOW)
        assert len(claim()) == 1

    @pytest.mark.parametrize("seconds", [0.001, 1, 10])
    def test_of_a_worker_whose_clock_is_ahead_holds(self, clock, seconds: float):
        """The same goes for a worker that read its clock later but claimed earlier."""
        make_delivery(make_endpoint())
        clock.shift(seconds)
        assert len(claim()) == 1
        clock.move_to(NOW)
        assert claim() == []

    def test_longest_due_comes_first(self):
        endpoints = [make_endpoint() for _ in range(3)]
        for endpoint in endpoints:
            make_delivery(endpoint)
        for age, endpoint in enumerate(endpoints):
            Endpoint.objects.filter(id=endpoint.id).update(due_at=NOW - age * SECOND)
        batches = claim(healthy=2)
        assert sorted(batch.endpoint_id for batch in batches) == sorted(endpoint.id for endpoint in endpoints[1:])

    def test_disabled_and_deleted_endpoints_are_left_alone(self):
        make_delivery(make_endpoint(enabled=False, disabled_reason="owner"))
        make_delivery(make_endpoint(slot=-1))
        assert claim() == []

    def test_failing_endpoints_have_a_share_of_their_own(self):
        for failures in (1, 1, 0, 0):
            make_delivery(make_endpoint(failures=failures))
        assert sorted(batch.failing for batch in claim(healthy=8, failing=1)) == [False, False, True]
        assert claim(healthy=8, failing=0) == []

    def test_failing_endpoint_gets_one_message_as_a_probe(self):
        endpoint = make_endpoint(failures=3)
        deliveries = [make_delivery(endpoint, task_id=number) for number in (1, 2, 3)]
        assert ids(claim_one()) == [deliveries[0].id]

    def test_backlog_is_taken_in_pieces(self):
        endpoint = make_endpoint()
        for number in range(DELIVERIES_AT_ONCE + 1):
            make_delivery(endpoint, task_id=number + 1)
        batch = claim_one()
        assert len(batch.messages) == DELIVERIES_AT_ONCE
        record(batch)
        assert len(claim_one().messages) == 1

    def test_both_secrets_sign_until_the_old_one_expires(self, clock):
        old = make_endpoint()
        endpoint = make_endpoint(previous_secret=old.secret, previous_until=NOW + MINUTE)
        make_delivery(endpoint)
        batch = claim_one()
        assert batch.secrets == (endpoint.plain_secret, old.plain_secret)
        record(batch, 500)
        clock.shift(MINUTE)
        assert claim_one().secrets == (endpoint.plain_secret,)

    def test_event_that_is_no_longer_kept_has_no_body(self):
        make_delivery(make_endpoint())
        Event.objects.all().delete()
        assert claim_one().messages[0].body is None


class TestOrder:
    def test_is_that_of_the_events(self):
        endpoint = make_endpoint()
        late, early = (make_delivery(endpoint, event_id=number, task_id=number) for number in (9, 5))
        assert ids(claim_one()) == [early.id, late.id]

    def test_nothing_overtakes_an_earlier_event_of_its_task_that_waits(self, clock):
        endpoint = make_endpoint()
        first = make_delivery(endpoint, event_id=1, task_id=1, due_at=NOW + MINUTE)
        second = make_delivery(endpoint, event_id=2, task_id=1)
        other = make_delivery(endpoint, event_id=3, task_id=2)
        batch = claim_one()
        assert ids(batch) == [other.id]
        record(batch)
        clock.shift(MINUTE)
        assert ids(claim_one()) == [first.id, second.id]

    def test_endpoint_is_not_due_for_what_waits_behind_another(self, clock):
        endpoint = make_endpoint()
        make_delivery(endpoint, event_id=1, task_id=1)
        batch = claim_one()
        make_delivery(endpoint, event_id=2, task_id=1)
        record(batch, 500)
        assert Endpoint.objects.get().due_at == NOW + 5 * SECOND
        make_delivery(endpoint, event_id=3, task_id=1)
        clock.shift(SECOND)
        record(claim_one())
        assert Endpoint.objects.get().due_at == NOW + 5 * SECOND

    def test_another_endpoint_does_not_wait(self):
        make_delivery(make_endpoint(), event_id=1, task_id=1, due_at=NOW + MINUTE)
        delivery = make_delivery(make_endpoint(), event_id=2, task_id=1)
        assert [ids(batch) for batch in claim() if batch.messages] == [[delivery.id]]

    def test_dead_and_delivered_events_hold_up_nothing(self):
        endpoint = make_endpoint()
        make_delivery(endpoint, event_id=1, task_id=1, state="dead", due_at=NOW + MINUTE)
        make_delivery(endpoint, event_id=2, task_id=1, state="delivered", due_at=NOW + MINUTE)
        third = make_delivery(endpoint, event_id=3, task_id=1)
        assert ids(claim_one()) == [third.id]

    def test_pings_wait_for_nothing(self):
        endpoint = make_endpoint()
        make_delivery(endpoint, event_id=0, task_id=0, type="webhook.ping", due_at=NOW + MINUTE)
        ping = make_delivery(endpoint, event_id=0, task_id=0, type="webhook.ping")
        assert ids(claim_one()) == [ping.id]


class TestRecord:
    @pytest.mark.parametrize("status", [200, 204, 299])
    def test_success(self, status: int):
        make_delivery(make_endpoint())
        record(claim_one(), status, response=b"ok")
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.attempts, delivery.status) == ("delivered", 1, status)
        assert (delivery.latency_ms, delivery.response, delivery.attempted_at) == (12, "ok", NOW)
        endpoint = Endpoint.objects.get()
        assert (endpoint.failures, endpoint.due_at, endpoint.claim) == (0, NEVER, "")

    @pytest.mark.parametrize("status", [0, 100, 199, 300, 302, 400, 404, 429, 500, 503])
    def test_failure_is_tried_again(self, status: int, clock):
        make_delivery(make_endpoint())
        record(claim_one(), status, error="Something.")
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.attempts, delivery.error) == ("pending", 1, "Something.")
        endpoint = Endpoint.objects.get()
        assert delivery.due_at == endpoint.due_at == NOW + DELAYS_SECONDS[0] * SECOND
        assert (endpoint.failures, endpoint.failing_since) == (1, NOW)
        assert claim() == []
        clock.shift(5 * SECOND)
        assert len(claim()) == 1

    def test_last_failure_is_the_end(self, clock):
        make_delivery(make_endpoint())
        for seconds in DELAYS_SECONDS:
            record(claim_one(), 500, error="Something.")
            assert Delivery.objects.get().state == "pending"
            clock.shift(seconds * SECOND)
        record(claim_one(), 500, error="Something.")
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.attempts, delivery.error) == ("dead", 11, "Something.")
        assert Endpoint.objects.get().due_at == NEVER

    def test_retry_after_is_heeded(self):
        make_delivery(make_endpoint())
        record(claim_one(), 429, retry_after="60")
        assert Delivery.objects.get().due_at == NOW + MINUTE

    def test_success_after_failures_makes_the_endpoint_healthy(self):
        make_delivery(make_endpoint(failures=3, failing_since=NOW - 4 * DAY))
        record(claim_one())
        assert Endpoint.objects.get().failures == 0

    def test_what_was_not_attempted_stays_due(self, clock):
        endpoint = make_endpoint()
        first, second = make_delivery(endpoint, task_id=1), make_delivery(endpoint, task_id=2)
        batch = claim_one()
        record_batches([(batch, [Outcome(delivery_id=first.id, attempted_at=NOW, latency_ms=1, status=500)])])
        clock.shift(SECOND)
        assert ids(claim_one()) == [second.id]

    def test_failing_endpoint_rests_for_longer_and_longer(self, clock):
        """New events are due as well, but attempting everything immediately would burden both sides."""
        endpoint = make_endpoint()
        for number in range(9):
            make_delivery(endpoint, task_id=number + 1)
        batch = claim_one()
        record_batches([(batch, [])])
        rests = []
        for _ in range(7):
            record(claim_one(), 500)
            rests.append((Endpoint.objects.get().claimed_until - timezone.now()).total_seconds())
            clock.shift(rests[-1] - 0.001)
            assert claim() == []
            clock.shift(0.001)
            make_delivery(endpoint, task_id=100)
        # The first batch had nine failures.
        assert rests == [5] * 7

    def test_rest_is_a_second_for_each_failure_in_a_row(self, clock):
        make_delivery(make_endpoint())
        rests = []
        for seconds in DELAYS_SECONDS[:6]:
            record(claim_one(), 500)
            rests.append((Endpoint.objects.get().claimed_until - timezone.now()).total_seconds())
            clock.shift(seconds)
        assert rests == [1, 2, 3, 4, 5, 5]

    def test_healthy_endpoint_does_not_rest(self):
        endpoint = make_endpoint(failures=3)
        make_delivery(endpoint, task_id=1)
        make_delivery(endpoint, task_id=2)
        record(claim_one())
        assert len(claim()) == 1

    def test_gone_disables_the_endpoint_at_once(self):
        endpoint = make_endpoint()
        make_delivery(endpoint)
        record(claim_one(), 410)
        endpoint = Endpoint.objects.get()
        assert (endpoint.enabled, endpoint.disabled_reason, endpoint.due_at) == (False, "gone", NOW)
        assert Delivery.objects.get().state == "dead"

    def test_endpoint_that_only_fails_is_disabled_after_five_days(self, clock):
        endpoint = make_endpoint(failures=9, failing_since=NOW - FAILING_LIMIT + SECOND)
        make_delivery(endpoint)
        record(claim_one(), 500)
        assert Endpoint.objects.get().enabled
        clock.shift(5 * SECOND)
        record(claim_one(), 500)
        endpoint = Endpoint.objects.get()
        assert (endpoint.enabled, endpoint.disabled_reason, endpoint.failures) == (False, "failing", 11)

    def test_one_failure_after_long_silence_disables_nothing(self):
        make_delivery(make_endpoint(failing_since=NOW - 100 * DAY))
        record(claim_one(), 500)
        endpoint = Endpoint.objects.get()
        assert (endpoint.enabled, endpoint.failing_since) == (True, NOW)

    def test_failures_that_a_clock_ahead_has_begun_count_from_now(self):
        make_delivery(make_endpoint(failures=1, failing_since=NOW + 365 * DAY))
        record(claim_one(), 500)
        assert Endpoint.objects.get().failing_since == NOW

    def test_endpoint_that_its_owner_disabled_meanwhile_stays_so(self):
        make_delivery(make_endpoint())
        batch = claim_one()
        Endpoint.objects.update(enabled=False, disabled_reason="owner")
        record(batch, 500)
        endpoint = Endpoint.objects.get()
        # Due for housekeeping, which gives up its pending deliveries.
        assert (endpoint.enabled, endpoint.due_at) == (False, NOW)

    def test_expired_event_is_dead_and_says_nothing_about_the_endpoint(self):
        make_delivery(make_endpoint(failures=2))
        record(claim_one(), 0, error=EVENT_EXPIRED)
        assert (Delivery.objects.get().state, Endpoint.objects.get().failures) == ("dead", 2)

    def test_claim_that_expired_records_nothing(self, clock):
        make_delivery(make_endpoint())
        first = claim_one()
        clock.shift(LEASE)
        second = claim_one()
        record(first, 500)
        assert Delivery.objects.get().attempts == 0
        assert claim() == []
        record(second)
        assert Delivery.objects.get().state == "delivered"

    def test_deleted_endpoint_is_no_error(self):
        make_delivery(make_endpoint())
        batch = claim_one()
        Delivery.objects.all().delete()
        Endpoint.objects.all().delete()
        record(batch)

    @pytest.mark.parametrize(
        ("body", "shown"),
        [
            (b"x" * 300, "x" * 200),
            ("é".encode() * 150, "é" * 100),
            (b"\xff\xfe", "��"),
            (b"a\r\nb\x00c\x1b[31m", "a  b c [31m"),
            ("😀".encode() * 60, "😀" * 50),
        ],
    )
    def test_start_of_the_response_is_kept_as_text(self, body: bytes, shown: str):
        make_delivery(make_endpoint())
        record(claim_one(), 500, response=body)
        response = Delivery.objects.get().response
        assert response == shown
        assert len(response.encode("utf-16-le")) // 2 <= 200

    def test_delivery_that_comes_while_the_endpoint_is_released_wakes_it(self):
        endpoint = make_endpoint()
        make_delivery(endpoint)
        batch = claim_one()
        late = make_delivery(endpoint, task_id=2)
        record(batch)
        assert ids(claim_one()) == [late.id]
