"""Expired events and keys are deleted after a write, a few at a time."""

import datetime
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tasks import housekeeping
from tasks.housekeeping import Housekeeping, delete_old
from tasks.models import Event, IdempotencyKey
from tests.conftest import AT, sent

pytestmark = pytest.mark.django_db

DAY = datetime.timedelta(days=1)


@pytest.fixture(autouse=True)
def kept_for_30_days(settings):
    settings.EVENTS_KEPT_DAYS = 30


def make_event(age: datetime.timedelta) -> int:
    times = {"task_created_at": AT, "task_updated_at": AT, "created_at": timezone.now() - age}
    return Event.objects.create(owner_id=1, task_id=1, version=1, duration=1, uuid="u", type="task.created", **times).id


def make_key(age: datetime.timedelta) -> int:
    number = IdempotencyKey.objects.count()
    values = {"key": f"k{number}", "fingerprint": "f", "task_id": 1, "version": 1}
    return IdempotencyKey.objects.create(owner_id=1, created_at=timezone.now() - age, **values).id


@pytest.mark.parametrize(
    ("model", "make", "lifetime"),
    [(Event, make_event, 30 * DAY), (IdempotencyKey, make_key, DAY)],
    ids=["events", "keys"],
)
class TestDeleteOld:
    def test_what_is_over_goes_and_the_rest_stays(self, model, make, lifetime):
        second = datetime.timedelta(seconds=1)
        make(lifetime + second)
        young = [make(lifetime - second * 5), make(0 * DAY)]
        delete_old()
        assert list(model.objects.order_by("id").values_list("id", flat=True)) == young

    def test_no_more_than_a_thousand_go_at_once(self, model, make, lifetime, monkeypatch):
        monkeypatch.setattr(housekeeping, "AT_ONCE", 3)
        ids = [make(lifetime * 2) for _ in range(5)]
        for left in (ids[3:], [], []):
            delete_old()
            assert list(model.objects.order_by("id").values_list("id", flat=True)) == left

    def test_what_a_wrong_clock_wrote_goes_as_well(self, model, make, lifetime):
        make(-2 * DAY)
        near = make(-DAY / 2)
        delete_old()
        assert list(model.objects.values_list("id", flat=True)) == [near]

    def test_it_is_two_statements_however_many_there_are(self, model, make, lifetime):
        for _ in range(20):
            make(lifetime * 2)
        with CaptureQueriesContext(connection) as queries:
            delete_old()
        # The backend for SQL Server starts a deletion with SET NOCOUNT OFF.
        words = [word.replace("SET", "DELETE") for word in sent(queries)]
        assert words in (["SELECT", "DELETE", "SELECT"], ["SELECT", "SELECT", "DELETE"])


@pytest.fixture
def calls(monkeypatch) -> list[float]:
    made: list[float] = []
    monkeypatch.setattr(housekeeping, "delete_old", lambda: made.append(1.0))
    # A test runs in a transaction, a request does not.
    monkeypatch.setattr(housekeeping, "connection", SimpleNamespace(in_atomic_block=False))
    return made


def test_a_process_looks_at_its_first_write_and_then_every_ten_seconds(calls):
    now = [0.0]
    own = Housekeeping(clock=lambda: now[0])
    for seconds, made in [(0, 1), (9.9, 1), (10, 2), (19, 2), (25, 3), (34, 3)]:
        now[0] = seconds
        own.run_when_due()
        assert len(calls) == made


def test_nothing_is_deleted_within_a_transaction_of_the_callers(calls, monkeypatch):
    monkeypatch.setattr(housekeeping, "connection", SimpleNamespace(in_atomic_block=True))
    Housekeeping().run_when_due()
    assert calls == []


def test_its_failure_is_logged_and_no_requests(calls, monkeypatch, caplog):
    def fail() -> None:
        raise OperationalError("locked")

    monkeypatch.setattr(housekeeping, "delete_old", fail)
    Housekeeping().run_when_due()
    (record,) = caplog.records
    assert (record.message, record.error) == ("housekeeping failed", "OperationalError")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/tasks", {"title": "New", "duration": 5}),
        ("PATCH", "/api/tasks/{id}", {"title": "New"}),
        ("DELETE", "/api/tasks/{id}", None),
    ],
)
def test_every_kind_of_write_looks_after_it_and_no_read(api, make_task, monkeypatch, method, path, body):
    task, looked = make_task(), []
    monkeypatch.setattr(Housekeeping, "run_when_due", lambda self: looked.append(method))
    api("GET", "/api/tasks")
    assert looked == []
    assert api(method, path.format(id=task.id), body).status_code < 300
    assert looked == [method]
