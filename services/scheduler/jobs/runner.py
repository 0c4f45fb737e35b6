"""The runner: executes a run piece by piece, and between pieces checks the deadline, the lease and for a stop.

So no job can forget these checks, and no exception interrupts a piece. The kernel handles pieces that take too long: a
process whose piece outlasts the lease is killed before another process may take over the run.
"""

import contextlib
import datetime
import logging
import signal
import time
from collections.abc import Callable, Iterator

from django.db import Error as DatabaseLayerError

from jobs.job import Job, Progress, Work
from jobs.models import FAILED, SUCCEEDED, Run
from jobs.services import claim_run, claim_slot, finish_run, hand_back, record_missed_slots, renew_lease
from servicekit.database.outages import is_unavailable
from servicekit.http.times import iso_utc
from servicekit.metrics import Histogram
from servicekit.process.context import set_request_id
from servicekit.telemetry import spans

# A renewal is a database statement, too expensive after each piece of a few milliseconds.
RENEW_SECONDS = 1.0
# Longer than the 10 s of a query's timeout (servicekit.database.url).
PIECE_SECONDS = 12
# After this time a run with a checkpoint yields to other runs and is continued later, since there may be more long runs
# than the worker has processes.
TURN_SECONDS = 30.0
# How long a lease must be unchanged before the run counts as lost. Longer than PIECE_SECONDS, which start before the
# renewal that the relay sees.
LEASE_SECONDS = 14.0

logger = logging.getLogger("jobs.run")

DURATION = Histogram(
    "job_run_duration_seconds",
    "Working time of background jobs' runs, by job and state.",
    ["job_name", "state"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0),
)


class DatabaseUnavailable(Exception):
    """The database is unavailable. The run has not ended, so the message has to be redelivered."""


class _Ended(Exception):
    """The attempt has ended, but the run has not."""


def run_slot(*, job: Job, slot: datetime.datetime, request_id: str, stopping: Callable[[], bool]) -> None:
    """Carry out the slot's run, unless it is already claimed. Raises DatabaseUnavailable."""
    with _database_errors(), _ended_before_the_lease():
        run = claim_slot(job=job, slot=slot, request_id=request_id)
        if run is None:
            logger.debug("slot taken", extra={"job": job.name, "slot": iso_utc(slot)})
            return
        record_missed_slots(job=job, run=run)
        _carry_out(job=job, run=run, stopping=stopping)


def continue_run(*, job: Job, run_id: int, holder: str, stopping: Callable[[], bool]) -> None:
    """Carry out a run that is queued, handed back or lost, from its checkpoint. Raises DatabaseUnavailable."""
    with _database_errors(), _ended_before_the_lease():
        run = claim_run(run_id=run_id, holder=holder)
        if run is None:
            logger.debug("run taken", extra={"job": job.name, "run": run_id})
            return
        set_request_id(run.request_id)
        _carry_out(job=job, run=run, stopping=stopping)


def _carry_out(*, job: Job, run: Run, stopping: Callable[[], bool]) -> None:
    name = f"job {job.name}"
    # A scheduled run belongs to no request.
    with spans.part_of_request(name) if run.requested_by else spans.root(name) as span:
        span.describe(slot=iso_utc(run.slot))
        _do(job=job, run=run, stopping=stopping, span=span)


def _do(*, job: Job, run: Run, stopping: Callable[[], bool], span: spans.Span) -> None:
    attempt = _Attempt(job=job, run=run, stopping=stopping)
    try:
        state, outcome = attempt.work()
    except _Ended as reason:
        logger.info("job interrupted", extra={"job": job.name, "slot": iso_utc(run.slot), "reason": str(reason)})
        return
    spent_ms = attempt.spent_ms()
    finish_run(run=run, state=state, outcome=outcome, progress=attempt.progress, spent_ms=spent_ms)
    DURATION.labels(job.name, state).observe(spent_ms / 1000)
    if state == FAILED:
        span.fail(state)
    logger.info(
        "job",
        extra={
            "job": job.name,
            "slot": iso_utc(run.slot),
            "state": state,
            "attempts": run.attempts,
            "duration_ms": spent_ms,
        },
    )


class _Attempt:
    """A continuous stretch of work on a run, and the run's progress."""

    def __init__(self, *, job: Job, run: Run, stopping: Callable[[], bool]) -> None:
        self.progress = Progress(done=run.done, total=run.total, checkpoint=run.checkpoint)
        self._job = job
        self._run = run
        self._stopping = stopping
        self._started_at = self._renewed_at = time.monotonic()

    def spent_ms(self) -> int:
        """Return the run's working time in milliseconds, including earlier attempts."""
        return self._run.spent_ms + round((time.monotonic() - self._started_at) * 1000)

    def work(self) -> tuple[str, str]:
        """Return the run's state and outcome; raises _Ended, and the error if the database is unavailable."""
        try:
            with contextlib.closing(self._job.work(self._run.checkpoint)) as pieces:
                return self._pieces(pieces)
        except _Ended:
            raise
        # This is the boundary of the job's code: any exception is logged here, and fails the run.
        except Exception as error:
            if is_unavailable(error):
                raise
            logger.exception("job failed")
            return FAILED, "It failed; see the worker's log."

    def _pieces(self, pieces: Work) -> tuple[str, str]:
        while True:
            try:
                self.progress = next(pieces)
            except StopIteration as end:
                return SUCCEEDED, end.value
            if self.spent_ms() > self._job.limit_seconds * 1000:
                return FAILED, f"It took longer than {self._job.limit_seconds:g} s."
            self._between_pieces(time.monotonic())

    def _between_pieces(self, now: float) -> None:
        if self.progress.checkpoint and (self._stopping() or now > self._started_at + TURN_SECONDS):
            hand_back(run=self._run, progress=self.progress, spent_ms=self.spent_ms())
            raise _Ended("handed back, to be continued")
        if now > self._renewed_at + RENEW_SECONDS:
            self._renewed_at = now
            signal.alarm(PIECE_SECONDS)
            if not renew_lease(run=self._run, progress=self.progress, spent_ms=self.spent_ms()):
                raise _Ended("another worker has taken it over")


@contextlib.contextmanager
def _ended_before_the_lease() -> Iterator[None]:
    """Have SIGALRM, by its default action, terminate this process PIECE_SECONDS after the last renewal.

    The kernel's timer uses a clock that cannot be set, and keeps running while the process is frozen: when the process
    resumes, it is terminated before it can do anything. The relay then restarts the run.
    """
    signal.alarm(PIECE_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


@contextlib.contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except DatabaseLayerError as error:
        if not is_unavailable(error):
            raise
        raise DatabaseUnavailable from error
