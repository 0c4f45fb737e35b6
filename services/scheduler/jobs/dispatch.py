"""The relay's step for runs: it sends queued runs, and those that lost their worker, to a worker."""

import datetime
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.utils import timezone

from jobs.job import Job
from jobs.models import FAILED, MISSED, RUNNING, Run
from jobs.relay import Watch
from jobs.runner import LEASE_SECONDS
from jobs.schedule import JOBS
from jobs.selectors import active_runs
from jobs.services import NOT_TAKEN, give_up
from jobs.tasks import continue_
from servicekit.process.context import as_request

# A message may be lost, or wait for a free worker; sending a second one is harmless.
RESEND_SECONDS = 15.0
# A run that loses its worker this many times without progress has failed.
MAXIMUM_LOSSES = 3

logger = logging.getLogger("jobs.dispatch")


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The decision to end a run with this state and outcome."""

    run: Run
    state: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Send:
    """The decision to have a worker start or continue a run."""

    run: Run


def decide(
    *,
    runs: list[Run],
    jobs: dict[str, Job],
    unchanged_for: Callable[[Run], float],
    now: datetime.datetime,
) -> list[GiveUp | Send]:
    """Return the decisions for the active runs; a run that needs no action has none."""
    busy = {run.job for run in runs if run.state == RUNNING}
    decisions: list[GiveUp | Send] = []
    for run in runs:
        job = jobs.get(run.job)
        if job is None:
            decisions.append(GiveUp(run, FAILED, "The job no longer exists."))
        elif run.state == RUNNING:
            if run.lease == 0:
                decisions.append(Send(run))
            elif unchanged_for(run) >= LEASE_SECONDS:
                lost = run.losses + 1 >= MAXIMUM_LOSSES
                decisions.append(GiveUp(run, FAILED, _LOST) if lost else Send(run))
        elif _expired(run, job=job, now=now):
            decisions.append(GiveUp(run, MISSED, NOT_TAKEN))
        elif run.job not in busy:
            decisions.append(Send(run))
    return decisions


_LOST = f"Its worker was lost {MAXIMUM_LOSSES} times."


def _expired(run: Run, *, job: Job, now: datetime.datetime) -> bool:
    """Return whether a scheduled run's slot is too far from now, past or future. A requested run never expires."""
    return not run.requested_by and abs(now - run.slot) > datetime.timedelta(seconds=job.expires_seconds)


class DispatchRuns:
    """The step of ``manage.py relay`` that carries out these decisions."""

    def __init__(self) -> None:
        self._leases = Watch()
        self._sent: dict[tuple[int, str], float] = {}

    def __call__(self) -> None:
        """Carry out the decisions of one round; raises errors of the database and the broker."""
        runs = active_runs()
        self._leases.forget_all_but([run.id for run in runs])
        held = {(run.id, run.holder) for run in runs}
        self._sent = {key: at for key, at in self._sent.items() if key in held}
        for decision in decide(runs=runs, jobs=JOBS, unchanged_for=self._unchanged_for, now=timezone.now()):
            if isinstance(decision, GiveUp):
                give_up(run=decision.run, state=decision.state, outcome=decision.outcome)
                with as_request(decision.run.request_id):
                    logger.warning("run given up", extra={"job": decision.run.job, "outcome": decision.outcome})
            else:
                self._send(decision.run)

    def _unchanged_for(self, run: Run) -> float:
        return self._leases.unchanged_for(run.id, (run.holder, run.lease))

    def _send(self, run: Run) -> None:
        key = (run.id, run.holder)
        now = time.monotonic()
        if now - self._sent.get(key, -RESEND_SECONDS) < RESEND_SECONDS:
            return
        with as_request(run.request_id):
            continue_.apply_async(
                kwargs={"job": run.job, "run_id": run.id, "holder": run.holder},
                expires=RESEND_SECONDS,
                # The next round is the retry.
                retry=False,
            )
            logger.info("run sent", extra={"job": run.job, "run": run.id})
        self._sent[key] = now
