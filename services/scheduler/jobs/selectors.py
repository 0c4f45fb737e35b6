"""Reads."""

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Q, Subquery

from jobs.models import ACTIVE, RelayLease, Run, Task
from servicekit.http.pagination import Cursor, Page

TASKS_AT_ONCE = 500

# How far ahead a time may lie because two machines' clocks differ. What lies further ahead was written before a clock
# was set back, and says nothing about now.
CLOCK_SKEW = datetime.timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class JobRuns:
    """The runs that tell how a job is doing."""

    # The newest slot, whichever way it came about, and the newest of the schedule.
    last: Run | None = None
    last_scheduled: Run | None = None
    running: Run | None = None
    queued: Run | None = None


def job_runs(*, names: Iterable[str], now: datetime.datetime) -> dict[str, JobRuns]:
    """The telling runs of each job, by its name. One statement, with two seeks for each job."""
    past = Run.objects.filter(slot__lte=now + CLOCK_SKEW).order_by("-slot")
    newest = [past.filter(job=name) for name in names]
    newest += [query.filter(requested_by=0) for query in newest]
    ids = [Subquery(query.values("id")[:1]) for query in newest]
    # The stubs do not know that In takes expressions.
    rows = list(Run.objects.filter(Q(id__in=ids) | Q(state__in=ACTIVE)).order_by("-slot"))
    return {name: _telling([row for row in rows if row.job == name], now=now) for name in names}


def _telling(rows: list[Run], *, now: datetime.datetime) -> JobRuns:
    past = [row for row in rows if row.slot <= now + CLOCK_SKEW]
    return JobRuns(
        last=next(iter(past), None),
        last_scheduled=next((row for row in past if not row.requested_by), None),
        running=next((row for row in rows if row.state == "running"), None),
        queued=next((row for row in rows if row.state == "queued"), None),
    )


def list_runs(*, job: str | None, state: str | None, page: Page) -> tuple[list[Run], bool]:
    """The runs (of the job and in the state, where given), newest slot first: one page, and whether there are more."""
    query = Run.objects.order_by("-slot", "-id")
    if job is not None:
        query = query.filter(job=job)
    if state is not None:
        query = query.filter(state=state)
    if page.before is not None:
        query = query.filter(page.before.older("slot"))
    rows = list(query[: page.limit + 1])
    return rows[: page.limit], len(rows) > page.limit


def retrieve_run(*, run_id: int) -> Run | None:
    """The run of this id."""
    return Run.objects.filter(id=run_id).first()


def active_runs() -> list[Run]:
    """The runs that are queued or running: two of each job at most."""
    return list(Run.objects.filter(state__in=ACTIVE).order_by("slot", "id"))


def last_tick(*, now: datetime.datetime) -> datetime.datetime | None:
    """The newest slot that a tick has reached, whichever job's it is."""
    ticks = Run.objects.filter(slot__lte=now + CLOCK_SKEW, requested_by=0).exclude(state="missed")
    return ticks.order_by("-slot", "-id").values_list("slot", flat=True).first()


def relay_seen_at() -> datetime.datetime | None:
    """When the leading relay last said so."""
    return RelayLease.objects.values_list("seen_at", flat=True).first()


def count_tasks(*, owner_id: int) -> int:
    """How many tasks the user has; an index alone answers it."""
    return Task.objects.filter(owner_id=owner_id).count()


def task_pages(*, owner_id: int, limit: int) -> Iterator[list[Task]]:
    """The newest tasks of the user, ``limit`` at most, newest first.

    Read in pages by key, so that neither the memory nor the life of a cursor or transaction grows with their number.
    """
    query = Task.objects.filter(owner_id=owner_id).order_by("-created_at", "-id")
    rest = query
    while limit > 0 and (page := list(rest[: min(limit, TASKS_AT_ONCE)])):
        yield page
        limit -= len(page)
        rest = query.filter(Cursor(at=page[-1].created_at, id=page[-1].id).older("created_at"))
