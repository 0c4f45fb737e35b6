"""Define a job: a name, a schedule, and work that is done piece by piece."""

import datetime
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from celery.schedules import crontab

MINUTE = datetime.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come: ``done`` of ``total`` units; 0 of 0 means unknown.

    ``checkpoint``, at most 500 characters, is what the work needs to go on from here in another process. Empty means
    that it can only start again.
    """

    done: int = 0
    total: int = 0
    checkpoint: str = ""


# Yields between two pieces of work, and returns the outcome in words, at most 200 characters. A piece should take about
# a second and must take less than PIECE_SECONDS of jobs.runner. No transaction may be open at a yield.
Work = Generator[Progress, None, str]


@dataclass(frozen=True, slots=True)
class Job:
    """Work that runs on a schedule, once for each slot, and when staff request it; one run at a time."""

    name: str
    description: str
    # Minute, hour, day of the month, month, day of the week; in UTC.
    cron: str
    # Starts the work at this checkpoint, or at its beginning if it is empty.
    work: Callable[[str], Work]
    # The limit of a run's working time in all. Work that may take more than a minute yields checkpoints.
    limit_seconds: float
    # After this time a tick that no worker has taken is dropped, and its slot is missed: longer than the redelivery of
    # a killed worker's message takes, and below a period, so that the ticks of an outage do not pile up.
    expires_seconds: int = 55

    @property
    def schedule(self) -> crontab:
        """Return the times as Celery's beat understands them."""
        return crontab.from_string(self.cron)

    def next_due(self, now: datetime.datetime) -> datetime.datetime:
        """Return the first time after ``now`` at which the job is due."""
        last, step, _ = self.schedule.remaining_delta(now, tz=datetime.UTC)
        due: datetime.datetime = last + step
        return due


def slot_of(time: datetime.datetime) -> datetime.datetime:
    """Return the minute of this time, the finest unit of a crontab."""
    return time.astimezone(datetime.UTC).replace(second=0, microsecond=0)


def is_due(schedule: Any, slot: datetime.datetime) -> bool:
    """Return whether this minute, in UTC, is one of the crontab's, whose sets celery-types does not know."""
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
    """Return the slot as text for a message."""
    return slot_of(slot).isoformat()


def parse_slot(text: object) -> datetime.datetime:
    """Reverse slot_text; raises ValueError for anything else, since a message may contain anything."""
    try:
        slot = datetime.datetime.fromisoformat(text) if isinstance(text, str) else None
        if slot is not None and slot_text(slot) == text:
            return slot
    except OverflowError:
        pass  # The first and last hours of the calendar, in another zone.
    raise ValueError("not a slot")
