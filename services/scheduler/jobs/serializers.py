"""The serializer of a request for a run, and the functions that render jobs and runs."""

import datetime
from typing import Any

from jobs.health import seconds_since, trouble_of
from jobs.job import Job
from jobs.models import ACTIVE, MISSED, Run
from jobs.selectors import JobRuns
from servicekit.http.serializers import StrictSerializer
from servicekit.http.times import iso_utc


class RequestRunSerializer(StrictSerializer):
    """The body of POST /api/jobs/{name}/runs: an empty object, or none."""


def represent_job(
    *, job: Job, runs: JobRuns, relay_seen_at: datetime.datetime | None, now: datetime.datetime
) -> dict[str, Any]:
    """Return the API's representation of a job: its schedule, last run, health and queue."""
    trouble = trouble_of(job=job, runs=runs, now=now)
    return {
        "name": job.name,
        "description": job.description,
        "schedule": job.cron,
        "last_run": None if runs.last is None else represent_run(runs.last),
        "next_due": iso_utc(job.next_due(now)),
        "healthy": trouble is None,
        "trouble": trouble,
        "queue": {
            "length": 0 if runs.queued is None else 1,
            "oldest_seconds": seconds_since(runs.queued.slot if runs.queued else None, now=now),
            "relay_lag_seconds": seconds_since(relay_seen_at, now=now),
        },
    }


def represent_run(run: Run) -> dict[str, Any]:
    """Return the API's representation of a run; fields that do not apply to its state are null."""
    return {
        "id": run.id,
        "job": run.job,
        "slot": iso_utc(run.slot),
        "state": run.state,
        "started_at": iso_utc(run.started_at) if run.attempts else None,
        "finished_at": None if run.state in (*ACTIVE, MISSED) else iso_utc(run.finished_at),
        "outcome": run.outcome or None,
        "attempts": run.attempts,
        "progress": _progress(run),
        "requested_by": run.requested_by or None,
    }


def _progress(run: Run) -> dict[str, int | None] | None:
    return {"done": run.done, "total": run.total or None} if run.done or run.total else None
