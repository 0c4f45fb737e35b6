"""Reads."""

import datetime
from collections.abc import Iterator

from django.db.models import Subquery

from jobs.models import Run, Task
from jobs.schedule import JOBS
from servicekit.http.pagination import Cursor, Page

TASKS_AT_ONCE = 500


def last_runs() -> dict[str, Run]:
    """Each job's newest run, by the job's name, where there is one. One statement, with a seek for each job."""
    newest = [Subquery(Run.objects.filter(job=job.name).order_by("-slot").values("id")[:1]) for job in JOBS]
    runs = Run.objects.filter(id__in=newest)  # type: ignore[misc]  # The stubs do not know that In takes expressions.
    return {run.job: run for run in runs}


def list_runs(*, job: str | None, page: Page) -> tuple[list[Run], bool]:
    """The runs (of the job, where given), newest slot first: one page, and whether there are more. One statement."""
    query = Run.objects.order_by("-slot", "-id")
    if job is not None:
        query = query.filter(job=job)
    if page.before is not None:
        query = query.filter(page.before.older("slot"))
    rows = list(query[: page.limit + 1])
    return rows[: page.limit], len(rows) > page.limit


def retrieve_run(*, run_id: int) -> Run | None:
    """The run of this id."""
    return Run.objects.filter(id=run_id).first()


def last_tick() -> datetime.datetime | None:
    """When the run of the newest slot began, whichever job's it is."""
    return Run.objects.order_by("-slot", "-id").values_list("started_at", flat=True).first()


def iterate_tasks(*, owner_id: int) -> Iterator[Task]:
    """Every task of the user, newest first.

    Read in pages by key, so that neither the memory nor the life of a cursor or transaction grows with their number.
    """
    query = Task.objects.filter(owner_id=owner_id).order_by("-created_at", "-id")
    page = list(query[:TASKS_AT_ONCE])
    yield from page
    while len(page) == TASKS_AT_ONCE:
        last = Cursor(at=page[-1].created_at, id=page[-1].id)
        page = list(query.filter(last.older("created_at"))[:TASKS_AT_ONCE])
        yield from page
