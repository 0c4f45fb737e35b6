"""Writes: a job's run, from the claim of its slot to its end.

Messages can be sent twice (two beats), delivered twice (a worker that was killed) and late (an outage). The row of a
run makes one run of all of them: who inserts it runs the job, and nobody else does unless that attempt is dead.
"""

import datetime
import logging
import time
from collections.abc import Callable

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import Error as DatabaseLayerError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from jobs.models import FAILED, RUNNING, SUCCEEDED, Run
from jobs.schedule import Job
from servicekit.database.deadlocks import retries_deadlocks
from servicekit.database.outages import is_unavailable
from servicekit.http.times import iso_utc

# A job that takes its process down with it every time is given up after as many attempts at the same slot.
MAXIMUM_ATTEMPTS = 5
# Each run deletes as many old ones at most: more than are added, and few enough to hold no lock for long.
OLD_RUNS_AT_ONCE = 100

logger = logging.getLogger("jobs.run")


class DatabaseUnavailable(Exception):
    """The database did not answer. The run is not over: the same message has to be delivered again."""


def run_job(*, job: Job, slot: datetime.datetime, task_id: str, work: Callable[[], str]) -> None:
    """Does the work, unless the slot is taken, and records how it went.

    ``work`` returns its outcome, at most 200 characters. ``task_id`` is the message's. Raises DatabaseUnavailable.
    """
    started = time.perf_counter()
    try:
        run = claim_run(job=job, slot=slot, task_id=task_id)
        if run is None:
            logger.debug("slot taken", extra={"job": job.name, "slot": iso_utc(slot)})
            return
        state, outcome = _do(work)
        finish_run(run=run, state=state, outcome=outcome)
    except DatabaseLayerError as error:
        if not is_unavailable(error):
            raise
        raise DatabaseUnavailable from error
    # The work catches its own; here, nothing but the database is waited for.
    except SoftTimeLimitExceeded as error:
        raise DatabaseUnavailable from error
    logger.info(
        "job",
        extra={
            "job": job.name,
            "slot": iso_utc(slot),
            "state": state,
            "attempts": run.attempts,
            "duration_ms": round((time.perf_counter() - started) * 1000, 1),
        },
    )
    _keep_house(job)


def _keep_house(job: Job) -> None:
    """What belongs to no run in particular. The job is over whatever comes of it, and the next one tries again."""
    try:
        fail_abandoned_runs(job=job)
        delete_old_runs()
    except (DatabaseLayerError, SoftTimeLimitExceeded) as error:
        logger.warning("housekeeping failed", extra={"job": job.name, "error": str(error)})


@retries_deadlocks
def claim_run(*, job: Job, slot: datetime.datetime, task_id: str) -> Run | None:
    """The run, where it is this message's to do; None where the slot is another's or is done."""
    now = timezone.now()
    run = Run(
        job=job.name,
        slot=slot,
        state=RUNNING,
        started_at=now,
        finished_at=now,
        outcome="",
        attempts=1,
        task_id=task_id,
    )
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError:
        return _take_over(job=job, slot=slot, task_id=task_id)
    return run


def _take_over(*, job: Job, slot: datetime.datetime, task_id: str) -> Run | None:
    """The existing run as a further attempt of ours, where the one before is dead.

    It is where it was this very message's, which comes back only after the end of its process, or is older than any
    attempt can be. The row is locked from the look to the change.
    """
    with transaction.atomic():
        # A change locks the row on every engine. A SELECT with a lock is a hint, which not every server takes.
        Run.objects.filter(job=job.name, slot=slot).update(attempts=F("attempts"))
        run = Run.objects.get(job=job.name, slot=slot)
        now = timezone.now()
        dead = run.task_id == task_id or run.started_at < now - _time_limit()
        if run.state != RUNNING or not dead or run.attempts >= MAXIMUM_ATTEMPTS:
            return None
        run.attempts += 1
        run.task_id = task_id
        run.started_at = now
        # Not save(), which trusts the row count, and drivers may report -1.
        Run.objects.filter(id=run.id).update(
            attempts=run.attempts, task_id=run.task_id, started_at=now, finished_at=now
        )
    return run


@retries_deadlocks
def finish_run(*, run: Run, state: str, outcome: str) -> None:
    """Records the end of the attempt; nothing, where another one has taken over."""
    Run.objects.filter(id=run.id, attempts=run.attempts, state=RUNNING).update(
        state=state, outcome=outcome, finished_at=timezone.now()
    )


@retries_deadlocks
def fail_abandoned_runs(*, job: Job) -> None:
    """Ends the runs whose attempt is dead and whose message has expired, so that none shows as running for ever."""
    now = timezone.now()
    Run.objects.filter(
        job=job.name, state=RUNNING, started_at__lt=now - _time_limit() - datetime.timedelta(seconds=job.expires)
    ).update(state=FAILED, outcome="The worker was lost, and no other one came in time.", finished_at=now)


@retries_deadlocks
def delete_old_runs() -> None:
    """Deletes the oldest runs, of whichever job, that are older than RUNS_KEPT_DAYS: OLD_RUNS_AT_ONCE at most."""
    kept_since = timezone.now() - datetime.timedelta(days=settings.RUNS_KEPT_DAYS)
    old = Run.objects.filter(slot__lt=kept_since).order_by("slot", "id").values_list("id", flat=True)
    # Looked up first: not every engine can limit a DELETE, and mostly there is none.
    if ids := list(old[:OLD_RUNS_AT_ONCE]):
        Run.objects.filter(id__in=ids).delete()


def _do(work: Callable[[], str]) -> tuple[str, str]:
    try:
        return SUCCEEDED, work()
    except SoftTimeLimitExceeded:
        logger.error("job took too long")
        return FAILED, f"It took longer than {settings.CELERY_TASK_SOFT_TIME_LIMIT} s."
    # This is the boundary of the job: whatever it raises is logged here, and the run has ended.
    except Exception as error:
        if is_unavailable(error):
            raise
        logger.exception("job failed")
        return FAILED, "It failed; the worker's log says why."


def _time_limit() -> datetime.timedelta:
    return datetime.timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT)
