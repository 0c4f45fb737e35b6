"""The due times of jobs, and the text form of their slots."""

import datetime

import pytest
from celery.schedules import crontab

from jobs.job import Job, is_due, parse_slot, slot_of, slot_text, slots_between
from jobs.schedule import JOBS
from tests.conftest import MINUTE, SECOND, SLOT

MICROSECOND = datetime.timedelta(microseconds=1)
BERLIN = datetime.timezone(datetime.timedelta(hours=1))


@pytest.mark.parametrize("after", [0 * SECOND, MICROSECOND, 59 * SECOND, MINUTE - MICROSECOND])
def test_slot_is_the_minute(after):
    assert slot_of(SLOT + after) == SLOT
    assert slot_text((SLOT + after).astimezone(BERLIN)) == "2026-01-31T09:30:00+00:00"


def test_slot_is_read_back():
    assert parse_slot(slot_text(SLOT)) == SLOT


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
    ("cron", "due"),
    [
        ("* * * * *", True),
        ("30 9 31 1 6", True),
        ("*/15 9-17 * * 1-6", True),
        ("31 9 * * *", False),
        ("30 10 * * *", False),
        ("30 9 30 * *", False),
        ("30 9 * 2 *", False),
        ("30 9 * * 0", False),
    ],
)
def test_slot_of_a_schedule(cron, due):
    """SLOT is a Saturday, the 31st of January, 9:30."""
    assert is_due(crontab.from_string(cron), SLOT) is due


def test_sunday_is_day_0():
    assert is_due(crontab.from_string("30 9 * * 0"), SLOT + datetime.timedelta(days=1))


@pytest.mark.parametrize(
    ("cron", "hours", "slots"),
    [
        ("* * * * *", 0, []),
        ("0 * * * *", 3, ["12:00", "11:00", "10:00"]),
        ("30 * * * *", 2, ["10:30"]),
        ("30 9 1 * *", 24, []),
    ],
)
def test_slots_between_two_leave_out_both_and_are_newest_first(cron, hours, slots):
    found = slots_between(crontab.from_string(cron), first=SLOT, last=SLOT + datetime.timedelta(hours=hours))
    assert [f"{slot:%H:%M}" for slot in found] == slots


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
    job = Job(name="name", cron=cron, description="", work=lambda checkpoint: iter(()), limit_seconds=1)
    assert job.next_due(now) == due
    assert job.next_due(now).utcoffset() == datetime.timedelta()


def test_names_are_the_keys_and_fit_column_and_path():
    assert all(name == job.name for name, job in JOBS.items())
    assert all(len(name) <= 64 and set(name) <= set("abcdefghijklmnopqrstuvwxyz-") for name in JOBS)
