"""What clients get."""

import datetime
from typing import Any

from jobs.models import RUNNING, Run
from jobs.schedule import Job
from servicekit.http.times import iso_utc


def represent_job(*, job: Job, last_run: Run | None, now: datetime.datetime) -> dict[str, Any]:
    """A job, its schedule, and what became of it last."""
    return {
        "name": job.name,
        "description": job.description,
        "schedule": job.cron,
        "last_run": None if last_run is None else represent_run(last_run),
        "next_due": iso_utc(job.next_due(now)),
    }


def represent_run(run: Run) -> dict[str, Any]:
    """A run as clients see it; while it is running, it has no end and no outcome."""
    return {
        "id": run.id,
        "job": run.job,
        "slot": iso_utc(run.slot),
        "state": run.state,
        "started_at": iso_utc(run.started_at),
        "finished_at": None if run.state == RUNNING else iso_utc(run.finished_at),
        "outcome": run.outcome or None,
        "attempts": run.attempts,
    }
