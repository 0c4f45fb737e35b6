"""Creating, claiming, renewing, finishing and deleting runs.

Ticks can be sent twice (two beats), delivered twice (a killed worker) and late (an outage). The rows ensure one run per
slot, and one at a time per job: the database's constraints decide, not an earlier read.
"""

import datetime
import logging
import uuid

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from jobs.job import MINUTE, Job, Progress, slots_between
from jobs.models import ACTIVE, MISSED, QUEUED, RUNNING, Run, turn_of
from servicekit.database.deadlocks import retries_deadlocks
from servicekit.http.times import iso_utc
from servicekit.metrics import Counter

# Small enough that a batch blocks other writers for only a few milliseconds.
OLD_RUNS_AT_ONCE = 100
# An hour of the report: enough to show what happened, without a flood of rows after a long outage.
MISSED_AT_ONCE = 60

NOT_TAKEN = "No worker took it in time."
STILL_BUSY = "Other runs of the job took too long."

logger = logging.getLogger("jobs.run")

MISSED_SLOTS = Counter("job_slots_missed", "Scheduled runs that no worker started in time.", ["job_name"])


class RunActive(Exception):
    """A run of the job is already queued or running."""


@retries_deadlocks
def request_run(*, job: Job, user_id: int, request_id: str) -> Run:
    """Queue a run for the relay to start; raises RunActive."""
    if Run.objects.filter(job=job.name, state__in=ACTIVE).exists():
        raise RunActive
    run = _new_run(job=job, slot=timezone.now(), state=QUEUED, request_id=request_id, requested_by=user_id)
    # A concurrent request may have been first.
    if not _insert(run):
        raise RunActive
    return run


@retries_deadlocks
def claim_slot(*, job: Job, slot: datetime.datetime, request_id: str) -> Run | None:
    """Return the slot's run for the caller to carry out; None if it is already claimed or has to wait.

    If another run of the job is running, this one is queued; if one is already queued, this one is missed.
    """
    run = _new_run(job=job, slot=slot, state=RUNNING, request_id=request_id)
    if _insert(run):
        return run
    existing = Run.objects.filter(job=job.name, slot=slot).first()
    if existing is None:
        if not _insert(_new_run(job=job, slot=slot, state=QUEUED, request_id=request_id)):
            _insert(_new_run(job=job, slot=slot, state=MISSED, request_id=request_id, outcome=STILL_BUSY))
        return None
    if existing.state != MISSED and not _clock_was_set_back_since(existing):
        return None
    with transaction.atomic():
        Run.objects.filter(id=existing.id, state=existing.state).exclude(state__in=ACTIVE).delete()
        if _insert(run):
            return run
        # Another run is in progress, so leave the row as it was.
        transaction.set_rollback(True)
        return None


def _clock_was_set_back_since(run: Run) -> bool:
    """Return whether slots well before this run's slot were claimed after it: the clock was set back in between.

    A message is at most a minute late. Missed slots do not count, since they are recorded long after they were due.
    """
    later = Run.objects.filter(job=run.job, id__gt=run.id, slot__lt=run.slot - 2 * MINUTE, requested_by=0)
    return later.exclude(state=MISSED).exists()


@retries_deadlocks
def claim_run(*, run_id: int, holder: str) -> Run | None:
    """Claim and return the active run if ``holder`` is still its last holder; None if it was claimed or has to wait.

    The caller must know that this holder, if any, has lost its lease or handed the run back.
    """
    run = Run.objects.filter(id=run_id, holder=holder, state__in=ACTIVE).first()
    if run is None:
        return None
    before = Run.objects.filter(id=run.id, holder=holder, state=run.state, lease=run.lease)
    if run.state == QUEUED:
        run.started_at = timezone.now()
    elif run.lease:
        run.losses += 1
    if run.state == QUEUED or run.lease:
        run.attempts += 1
    run.state, run.holder, run.lease = RUNNING, _name(), 1
    run.turn = turn_of(run.state, run.slot)
    columns = ("state", "turn", "holder", "lease", "attempts", "losses", "started_at")
    try:
        with transaction.atomic():
            before.update(**{column: getattr(run, column) for column in columns})
    except IntegrityError:
        # Another run of the job is in progress.
        return None
    # Not the number of changed rows, which drivers may report as -1.
    return run if _held(run).exists() else None


@retries_deadlocks
def renew_lease(*, run: Run, progress: Progress, spent_ms: int) -> bool:
    """Renew the attempt's lease and record its progress; return False if it was taken over and has to stop."""
    advanced = {"losses": 0} if progress.checkpoint != run.checkpoint else {}
    _held(run).update(lease=F("lease") + 1, **_columns(progress, spent_ms), **advanced)
    return _held(run).exists()


@retries_deadlocks
def hand_back(*, run: Run, progress: Progress, spent_ms: int) -> None:
    """Release the run and record its progress, so that the relay has a worker continue it."""
    _held(run).update(lease=0, losses=0, **_columns(progress, spent_ms))


@retries_deadlocks
def finish_run(*, run: Run, state: str, outcome: str, progress: Progress, spent_ms: int) -> None:
    """Record the run's final state and outcome, unless another attempt has taken over."""
    _held(run).update(
        state=state,
        turn=turn_of(state, run.slot),
        outcome=outcome,
        finished_at=timezone.now(),
        **_columns(progress, spent_ms),
    )


@retries_deadlocks
def give_up(*, run: Run, state: str, outcome: str) -> None:
    """Record the final state of a run without a worker, unless a worker has claimed it in the meantime."""
    Run.objects.filter(id=run.id, holder=run.holder, lease=run.lease, state=run.state).update(
        state=state, turn=turn_of(state, run.slot), outcome=outcome, finished_at=timezone.now()
    )


def record_missed_slots(*, job: Job, run: Run) -> None:
    """Record as missed the slots between the previous scheduled run and this one: their ticks are overdue.

    If such a tick arrives after all, claim_slot lets its run start.
    """
    before = Run.objects.filter(job=job.name, slot__lt=run.slot, requested_by=0).order_by("-slot")
    last = before.values_list("slot", flat=True).first()
    if last is None or job.next_due(last) >= run.slot:
        return
    missed = []
    for slot in slots_between(job.schedule, first=last, last=run.slot):
        missed.append(slot)
        _insert(_new_run(job=job, slot=slot, state=MISSED, request_id=run.request_id, outcome=NOT_TAKEN))
        if len(missed) == MISSED_AT_ONCE:
            break
    MISSED_SLOTS.labels(job.name).inc(len(missed))
    logger.warning(
        "slots missed",
        extra={"job": job.name, "after": iso_utc(last), "before": iso_utc(run.slot), "recorded": len(missed)},
    )


@retries_deadlocks
def delete_old_runs() -> int:
    """Delete ended runs older than RUNS_KEPT_DAYS, at most OLD_RUNS_AT_ONCE, oldest first; return their number."""
    kept_since = timezone.now() - datetime.timedelta(days=settings.RUNS_KEPT_DAYS)
    old = Run.objects.filter(slot__lt=kept_since).exclude(state__in=ACTIVE).order_by("slot", "id")
    # Select first: not every engine can limit a DELETE, and usually there is nothing to delete.
    if ids := list(old.values_list("id", flat=True)[:OLD_RUNS_AT_ONCE]):
        Run.objects.filter(id__in=ids).delete()
    return len(ids)


def _new_run(
    *, job: Job, slot: datetime.datetime, state: str, request_id: str, requested_by: int = 0, outcome: str = ""
) -> Run:
    now = timezone.now()
    running = state == RUNNING
    return Run(
        job=job.name,
        slot=slot,
        requested_by=requested_by,
        state=state,
        turn=turn_of(state, slot),
        started_at=now,
        finished_at=now,
        outcome=outcome,
        attempts=int(running),
        holder=_name() if running else "",
        lease=int(running),
        request_id=request_id,
    )


def _insert(run: Run) -> bool:
    """Insert the run; return False if its slot or its turn is taken."""
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError:
        return False
    return True


def _held(run: Run) -> QuerySet[Run]:
    return Run.objects.filter(id=run.id, holder=run.holder, state=RUNNING)


def _columns(progress: Progress, spent_ms: int) -> dict[str, object]:
    return {
        "done": progress.done,
        "total": progress.total,
        "checkpoint": progress.checkpoint,
        "spent_ms": spent_ms,
    }


def _name() -> str:
    return uuid.uuid4().hex
