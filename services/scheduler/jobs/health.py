"""The checks of beat and the relay for /readyz, and the health of jobs."""

import datetime
from collections.abc import Callable

from django.db import Error as DatabaseLayerError
from django.db import connection
from django.utils import timezone

from jobs.job import Job
from jobs.models import FAILED, MISSED, QUEUED
from jobs.selectors import CLOCK_SKEW, JobRuns, active_runs, last_tick, relay_seen_at
from servicekit.http.health import NotReady

# The minute between two ticks, and half a minute for delays.
LONGEST_SILENCE = datetime.timedelta(seconds=90)
# The relay renews its lease twice a second, and another relay takes over after 10 s.
RELAY_SILENCE = datetime.timedelta(seconds=30)
# A requested run starts within 3 s if the relay and the worker run.
LONGEST_WAIT = datetime.timedelta(seconds=30)

# Beat, relay and worker start together with this process, so their limits count from here at the earliest.
_started_at = timezone.now()


def check_beat() -> None:
    """Raise NotReady if the last tick that a worker received from beat is too old."""
    _check_recent(lambda: last_tick(now=timezone.now()), within=LONGEST_SILENCE, silent="has not ticked for")


def check_relay() -> None:
    """Raise NotReady if no relay has led for too long."""
    _check_recent(relay_seen_at, within=RELAY_SILENCE, silent="has not run for")


def _check_recent(read: Callable[[], datetime.datetime | None], *, within: datetime.timedelta, silent: str) -> None:
    """Raise NotReady if the time that ``read`` returns is too old, or if the database is unavailable.

    Uses the connection that check_database left open; without one, it does not wait 3 s for another.
    """
    if connection.connection is None:
        raise NotReady("is unknown without the database")
    try:
        last = read()
    except DatabaseLayerError as error:
        raise NotReady("is unknown without the database") from error
    now = timezone.now()
    # A time in the future was written before the clock was set back, and means nothing now.
    known = [time for time in (last, _started_at) if time is not None and time <= now + CLOCK_SKEW]
    if not known or now - max(known) > within:
        raise NotReady(f"{silent} {within.seconds} s")


def measures() -> dict[str, float | None]:
    """Return the number and age in seconds of queued runs, and the relay's lag, for /readyz to show with its checks."""
    now = timezone.now()
    waiting = [run for run in active_runs() if run.state == QUEUED]
    return {
        "queued_runs": len(waiting),
        "oldest_queued_run_seconds": seconds_since(min((run.slot for run in waiting), default=None), now=now),
        "relay_lag_seconds": seconds_since(relay_seen_at(), now=now),
    }


def seconds_since(since: datetime.datetime | None, *, now: datetime.datetime) -> float | None:
    """Return the seconds since then, rounded to tenths; 0 if another machine's clock is ahead, None without a time."""
    return None if since is None else round(max((now - since).total_seconds(), 0.0), 1)


def trouble_of(*, job: Job, runs: JobRuns, now: datetime.datetime) -> str | None:
    """Return a sentence that describes the job's trouble; None if it is healthy."""
    if runs.last is not None and runs.last.state in (FAILED, MISSED):
        return f"The last run {'failed' if runs.last.state == FAILED else 'was missed'}: {runs.last.outcome}"
    queued = runs.queued
    if queued is not None and runs.running is None and now - queued.slot > LONGEST_WAIT:
        return f"A run has been waiting for {round((now - queued.slot).total_seconds())} s."
    last = _started_at if runs.last_scheduled is None else runs.last_scheduled.slot
    # A run that was due before this process started gets as much time as the first tick.
    if now - max(job.next_due(last), _started_at) > LONGEST_SILENCE:
        return f"Nothing has run since {last:%Y-%m-%d %H:%M} UTC."
    return None
