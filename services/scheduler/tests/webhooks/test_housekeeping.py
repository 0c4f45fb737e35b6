"""Housekeeping of old deliveries and of disabled or deleted endpoints, a few rows at a time."""

import datetime

import pytest
import time_machine

from tests.webhooks.support import NOW, SECOND, make_delivery, make_endpoint
from webhooks import housekeeping
from webhooks.housekeeping import clean_up
from webhooks.models import NEVER, Delivery, Endpoint

pytestmark = pytest.mark.django_db(transaction=True)

DAY = datetime.timedelta(days=1)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(housekeeping, "ROWS_AT_ONCE", 2)
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


def states() -> list[str]:
    return list(Delivery.objects.order_by("id").values_list("state", flat=True))


def test_nothing_to_do():
    make_delivery(make_endpoint())
    assert clean_up() == 0
    assert states() == ["pending"]


class TestDisabledEndpoint:
    def test_gives_up_what_waits_for_it(self):
        endpoint = make_endpoint(enabled=False, disabled_reason="owner")
        delivered = make_delivery(endpoint, state="delivered")
        for number in range(5):
            make_delivery(endpoint, task_id=number)
        assert [clean_up() for _ in range(4)] == [2, 2, 1, 0]
        assert set(states()[1:]) == {"dead"}
        assert Delivery.objects.get(state="delivered").id == delivered.id
        assert {delivery.error for delivery in Delivery.objects.filter(state="dead")} == {"The webhook was disabled."}
        assert Endpoint.objects.get().due_at == NEVER

    def test_that_is_enabled_again_keeps_the_rest(self):
        endpoint = make_endpoint(enabled=False, disabled_reason="owner")
        for number in range(3):
            make_delivery(endpoint, task_id=number)
        clean_up()
        Endpoint.objects.update(enabled=True, disabled_reason="")
        assert clean_up() == 0
        assert sorted(states()) == ["dead", "dead", "pending"]


def test_deleted_endpoint_goes_with_its_deliveries():
    kept = make_delivery(make_endpoint())
    endpoint = make_endpoint(slot=-5, enabled=False, disabled_reason="owner")
    for number in range(3):
        make_delivery(endpoint, task_id=number, state="delivered")
    while clean_up():
        pass
    assert Delivery.objects.get().id == kept.id
    assert Endpoint.objects.get().id == kept.endpoint_id


class TestOldDeliveries:
    @pytest.fixture(autouse=True)
    def thirty_days(self, settings):
        settings.WEBHOOK_DELIVERIES_KEPT_DAYS = 30

    def test_go_the_oldest_first(self):
        endpoint = make_endpoint()
        for age in (33, 32, 31, 30, 1):
            make_delivery(endpoint, task_id=age, state="delivered", created_at=NOW - age * DAY)
        while clean_up():
            pass
        assert list(Delivery.objects.order_by("id").values_list("task_id", flat=True)) == [30, 1]

    def test_that_are_still_pending_stay(self):
        make_delivery(make_endpoint(), created_at=NOW - 31 * DAY)
        assert clean_up() == 0


def test_what_a_clock_ahead_has_put_off_is_due():
    endpoint = make_endpoint()
    make_delivery(endpoint, task_id=1, due_at=NOW + 365 * DAY)
    make_delivery(endpoint, task_id=2, due_at=NOW + 5 * SECOND)
    Endpoint.objects.update(due_at=NOW + 365 * DAY)
    assert clean_up() == 1
    assert sorted(Delivery.objects.values_list("due_at", flat=True)) == [NOW, NOW + 5 * SECOND]
    assert Endpoint.objects.get().due_at == NOW
    assert clean_up() == 0
