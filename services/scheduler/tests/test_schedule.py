"""The schedule: when jobs are due, and what their slots are called."""

import datetime

import pytest
import time_machine

from jobs.schedule import JOBS, Job, current_slot, parse_slot
from tests.conftest import MINUTE, SECOND, SLOT

MICROSECOND = datetime.timedelta(microseconds=1)


@pytest.mark.parametrize("after", [0 * SECOND, MICROSECOND, 59 * SECOND, MINUTE - MICROSECOND])
def test_slot_is_the_minute_of_the_publication(after):
    with time_machine.travel(SLOT + after, tick=False):
        assert current_slot() == "2026-01-31T09:30:00+00:00"


def test_slot_is_read_back():
    with time_machine.travel(SLOT, tick=False):
        assert parse_slot(current_slot()) == SLOT


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        [],
        "",
        "yesterday",
        "2026-01-31",
        "2026-01-31T09:30:00",
        "2026-01-31T09:30:00Z",
        "2026-01-31T09:30:01+00:00",
        "2026-01-31T09:30:00.000001+00:00",
        "2026-01-31T10:30:00+01:00",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:00-05:00",
        "2026-02-30T09:30:00+00:00",
    ],
)
def test_anything_else_is_no_slot(text):
    with pytest.raises(ValueError, match=r"not a slot|isoformat|day is out of range"):
        parse_slot(text)


@pytest.mark.parametrize(
    ("cron", "now", "due"),
    [
        ("* * * * *", SLOT, SLOT + MINUTE),
        ("* * * * *", SLOT + MINUTE - MICROSECOND, SLOT + MINUTE),
        ("30 9 * * *", SLOT - SECOND, SLOT),
        ("30 9 * * *", SLOT, SLOT + datetime.timedelta(days=1)),
        ("0 0 1 1 *", SLOT, datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)),
    ],
)
def test_next_due_is_later_than_now(cron, now, due):
    job = Job(name="name", task="task", cron=cron, description="", expires=1)
    assert job.next_due(now) == due
    assert job.next_due(now).utcoffset() == datetime.timedelta()


def test_names_fit_the_column_and_are_unlike():
    names = [job.name for job in JOBS]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 64
