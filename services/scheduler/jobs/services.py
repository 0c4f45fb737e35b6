"""Write runs, from the slot to the end.

Ticks can be sent twice (two beats), delivered twice (a killed worker) and late (an outage). The rows ensure one run for
each slot, and one at a time for each job: the database's constraints decide, not an earlier read.
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

# So few that a writer waits only a few milliseconds for one batch.
OLD_RUNS_AT_ONCE = 100
# An hour of the report: enough to show what happened, without a flood after a long stop.
MISSED_AT_ONCE = 60

NOT_TAKEN = "No worker took it in time."
STILL_BUSY = "Other runs of the job took too long."

logger = logging.getLogger("jobs.run")

MISSED_SLOTS = Counter("job_slots_missed", "Scheduled runs that no worker took in time.", ["job_name"])


class RunActive(Exception):
    """A run of the job is queued or running."""


@retries_deadlocks
def request_run(*, job: Job, user_id: int, request_id: str) -> Run:
    """Queue a run for the relay to start; raises RunActive."""
    if Run.objects.filter(job=job.name, state__in=ACTIVE).exists():
        raise RunActive
    run = _new_run(job=job, slot=timezone.now(), state=QUEUED, request_id=request_id, requested_by=user_id)
    # A concurrent request may have been faster.
    if not _insert(run):
        raise RunActive
    return run


@retries_deadlocks
def claim_slot(*, job: Job, slot: datetime.datetime, request_id: str) -> Run | None:
    """Return the slot's run for the caller to carry out; None if it is already claimed, or has to wait.

    While another run of the job goes on it is queued, and if one is queued already it is missed.
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
        # Another run goes on, so the row stays as it is.
        transaction.set_rollback(True)
        return None


def _clock_was_set_back_since(run: Run) -> bool:
    """Return whether slots well before the run's were claimed after it, so that its slot is still to come.

    A message is at most a minute late. Missed slots do not count: they are recorded long after they were due.
    """
    later = Run.objects.filter(job=run.job, id__gt=run.id, slot__lt=run.slot - 2 * MINUTE, requested_by=0)
    return later.exclude(state=MISSED).exists()


@retries_deadlocks
def claim_run(*, run_id: int, holder: str) -> Run | None:
    """Return the active run if this is still its last holder; None if another worker was faster, or it has to wait.

    The caller knows that this holder, if any, has lost its lease or handed the run back.
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
        # Another run of the job goes on.
        return None
    # Not the number of changed rows, which drivers may report as -1.
    return run if _held(run).exists() else None


@retries_deadlocks
def renew_lease(*, run: Run, progress: Progress, spent_ms: int) -> bool:
    """Record that the attempt goes on, and its progress; False if it was taken over and has to end."""
    advanced = {"losses": 0} if progress.checkpoint != run.checkpoint else {}
    _held(run).update(lease=F("lease") + 1, **_columns(progress, spent_ms), **advanced)
    return _held(run).exists()


@retries_deadlocks
def hand_back(*, run: Run, progress: Progress, spent_ms: int) -> None:
    """Release the run, so that the relay has it continued."""
    _held(run).update(lease=0, losses=0, **_columns(progress, spent_ms))


@retries_deadlocks
def finish_run(*, run: Run, state: str, outcome: str, progress: Progress, spent_ms: int) -> None:
    """Record the end of the run, unless another attempt has taken over."""
    _held(run).update(
        state=state,
        turn=turn_of(state, run.slot),
        outcome=outcome,
        finished_at=timezone.now(),
        **_columns(progress, spent_ms),
    )


@retries_deadlocks
def give_up(*, run: Run, state: str, outcome: str) -> None:
    """End a run that no worker carries out, unless one has meanwhile begun to."""
    Run.objects.filter(id=run.id, holder=run.holder, lease=run.lease, state=run.state).update(
        state=state, turn=turn_of(state, run.slot), outcome=outcome, finished_at=timezone.now()
    )


def record_missed_slots(*, job: Job, run: Run) -> None:
    """Record as missed the slots between this run's and the previous scheduled one: their ticks are overdue.

    If a tick arrives after all, claim_slot lets it run.
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
    """Delete the oldest runs that are older than RUNS_KEPT_DAYS, OLD_RUNS_AT_ONCE at most; return how many."""
    kept_since = timezone.now() - datetime.timedelta(days=settings.RUNS_KEPT_DAYS)
    old = Run.objects.filter(slot__lt=kept_since).exclude(state__in=ACTIVE).order_by("slot", "id")
    # Read first: not every engine can limit a DELETE, and usually there is no such row.
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
    """Store the run; return False if its slot or its turn is taken."""
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
