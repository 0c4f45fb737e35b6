"""The definition of a job: a name, a schedule, and work that is done piece by piece."""

import datetime
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from celery.schedules import crontab

MINUTE = datetime.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run: ``done`` of ``total`` units; 0 of 0 means unknown.

    ``checkpoint``, at most 500 characters, is what the work needs to continue from here in another process. If it is
    empty, the work has to start over.
    """

    done: int = 0
    total: int = 0
    checkpoint: str = ""


# A generator that yields between two pieces of work and returns the outcome in words, at most 200 characters. A piece
# should take about a second, and must take less than jobs.runner.PIECE_SECONDS. No transaction may be open at a yield.
Work = Generator[Progress, None, str]


@dataclass(frozen=True, slots=True)
class Job:
    """Work that runs once per slot of a schedule and when staff request it, one run at a time."""

    name: str
    description: str
    # Minute, hour, day of the month, month, day of the week; in UTC.
    cron: str
    # Starts the work at the given checkpoint, or at the beginning if that is empty.
    work: Callable[[str], Work]
    # The limit for a run's total working time. Work that may take more than a minute should yield checkpoints.
    limit_seconds: float
    # After this time a tick that no worker has taken is dropped, and its slot is missed. Longer than the redelivery of
    # a killed worker's message takes, and shorter than a period, so that ticks do not pile up during an outage.
    expires_seconds: int = 55

    @property
    def schedule(self) -> crontab:
        """Return the schedule as a Celery crontab."""
        return crontab.from_string(self.cron)

    def next_due(self, now: datetime.datetime) -> datetime.datetime:
        """Return the next time after ``now`` at which the job is due."""
        last, step, _ = self.schedule.remaining_delta(now, tz=datetime.UTC)
        due: datetime.datetime = last + step
        return due


def slot_of(time: datetime.datetime) -> datetime.datetime:
    """Return the time truncated to the minute, the finest unit of a crontab, in UTC."""
    return time.astimezone(datetime.UTC).replace(second=0, microsecond=0)


def is_due(schedule: Any, slot: datetime.datetime) -> bool:
    """Return whether the crontab, whose sets celery-types does not declare, contains this minute, in UTC."""
    return (
        slot.minute in schedule.minute
        and slot.hour in schedule.hour
        and slot.day in schedule.day_of_month
        and slot.month in schedule.month_of_year
        and slot.isoweekday() % 7 in schedule.day_of_week
    )


def slots_between(
    schedule: crontab, *, first: datetime.datetime, last: datetime.datetime
) -> Iterator[datetime.datetime]:
    """Yield the slots of the schedule after ``first`` and before ``last``, newest first."""
    slot = last - MINUTE
    while slot > first:
        if is_due(schedule, slot):
            yield slot
        slot -= MINUTE


def slot_text(slot: datetime.datetime) -> str:
    """Return the slot in ISO 8601 format, for a message."""
    return slot_of(slot).isoformat()


def parse_slot(text: object) -> datetime.datetime:
    """Return the slot that slot_text formatted; raises ValueError for anything else, which a message may contain."""
    try:
        slot = datetime.datetime.fromisoformat(text) if isinstance(text, str) else None
        if slot is not None and slot_text(slot) == text:
            return slot
    except OverflowError:
        pass  # In UTC, the time is before year 1 or after year 9999.
    raise ValueError("not a slot")
