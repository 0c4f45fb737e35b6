"""Queries for runs, the relay's lease and tasks."""

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Q, Subquery

from jobs.models import ACTIVE, MISSED, QUEUED, RUNNING, RelayLease, Run, Task
from servicekit.http.pagination import Cursor, Page

TASKS_AT_ONCE = 500

# How far in the future a time may be because the clocks of two machines differ. A later time was written before a clock
# was set back, and means nothing now.
CLOCK_SKEW = datetime.timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class JobRuns:
    """The runs that determine a job's health."""

    # The run with the newest slot, and the scheduled run with the newest slot.
    last: Run | None = None
    last_scheduled: Run | None = None
    running: Run | None = None
    queued: Run | None = None


def job_runs(*, names: Iterable[str], now: datetime.datetime) -> dict[str, JobRuns]:
    """Return the runs that determine each job's health, by the job's name, in one statement with two seeks per job."""
    past = Run.objects.filter(slot__lte=now + CLOCK_SKEW).order_by("-slot")
    newest = [past.filter(job=name) for name in names]
    newest += [query.filter(requested_by=0) for query in newest]
    ids = [Subquery(query.values("id")[:1]) for query in newest]
    rows = list(Run.objects.filter(Q(id__in=ids) | Q(state__in=ACTIVE)).order_by("-slot"))
    return {name: _select([row for row in rows if row.job == name], now=now) for name in names}


def _select(rows: list[Run], *, now: datetime.datetime) -> JobRuns:
    past = [row for row in rows if row.slot <= now + CLOCK_SKEW]
    return JobRuns(
        last=next(iter(past), None),
        last_scheduled=next((row for row in past if not row.requested_by), None),
        running=next((row for row in rows if row.state == RUNNING), None),
        queued=next((row for row in rows if row.state == QUEUED), None),
    )


def list_runs(*, job: str | None, state: str | None, page: Page) -> tuple[list[Run], bool]:
    """Return a page of runs, newest slot first, filtered by job and state if given, and whether there are more."""
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
    """Return the run with this id, or None."""
    return Run.objects.filter(id=run_id).first()


def active_runs() -> list[Run]:
    """Return the queued and running runs, at most two per job, oldest slot first."""
    return list(Run.objects.filter(state__in=ACTIVE).order_by("slot", "id"))


def last_tick(*, now: datetime.datetime) -> datetime.datetime | None:
    """Return the newest slot of any job for which a worker received a tick."""
    ticks = Run.objects.filter(slot__lte=now + CLOCK_SKEW, requested_by=0).exclude(state=MISSED)
    return ticks.order_by("-slot", "-id").values_list("slot", flat=True).first()


def relay_seen_at() -> datetime.datetime | None:
    """Return when the leading relay last renewed its lease."""
    return RelayLease.objects.values_list("seen_at", flat=True).first()


def count_tasks(*, owner_id: int) -> int:
    """Return the number of the user's tasks; an index covers the query."""
    return Task.objects.filter(owner_id=owner_id).count()


def task_pages(*, owner_id: int, limit: int) -> Iterator[list[Task]]:
    """Yield pages of the user's newest tasks, newest first, at most ``limit`` tasks in all.

    Pages are read by key, so neither memory nor the lifetime of a cursor or transaction grows with the number of tasks.
    """
    query = Task.objects.filter(owner_id=owner_id).order_by("-created_at", "-id")
    rest = query
    while limit > 0 and (page := list(rest[: min(limit, TASKS_AT_ONCE)])):
        yield page
        limit -= len(page)
        rest = query.filter(Cursor(at=page[-1].created_at, id=page[-1].id).older("created_at"))
