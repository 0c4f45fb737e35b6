"""What runs when: the schedule as code, in this one place."""

import datetime
from dataclasses import dataclass

from celery.schedules import crontab
from django.utils import timezone


@dataclass(frozen=True, slots=True)
class Job:
    """Something that runs on a schedule, once for each slot: the minute that it was due in."""

    name: str
    # The name of the Celery task, which is part of the messages and so of what a deployment must stay compatible with.
    task: str
    # minute, hour, day of the month, month, day of the week; in UTC.
    cron: str
    description: str
    # Seconds after which a tick that no worker has taken is dropped. More than it takes to redeliver the message of a
    # worker that was killed, and less than a period, so that the ticks of an outage do not all run at its end.
    expires: int

    @property
    def schedule(self) -> crontab:
        """The times, as Celery's beat understands them."""
        return crontab.from_string(self.cron)

    def next_due(self, now: datetime.datetime) -> datetime.datetime:
        """The first time after ``now`` that the job is due."""
        last, step, _ = self.schedule.remaining_delta(now, tz=datetime.UTC)
        due: datetime.datetime = last + step
        return due


REPORT_USER_TASKS = Job(
    name="report-user-tasks",
    task="jobs.report_user_tasks",
    cron="* * * * *",
    description="Prints every task of one user.",
    expires=55,
)

JOBS = (REPORT_USER_TASKS,)


def current_slot() -> str:
    """The slot of a job that is due now, as text for a message."""
    return _slot_text(timezone.now())


def parse_slot(text: object) -> datetime.datetime:
    """The reverse of current_slot; raises ValueError for anything else, since a message may hold anything."""
    try:
        slot = datetime.datetime.fromisoformat(text) if isinstance(text, str) else None
        if slot is not None and _slot_text(slot) == text:
            return slot
    except OverflowError:
        pass  # The first and last hours of the calendar, in another zone.
    raise ValueError("not a slot")


def _slot_text(time: datetime.datetime) -> str:
    # The minute, since a crontab knows nothing finer.
    return time.astimezone(datetime.UTC).replace(second=0, microsecond=0).isoformat()
