"""The models of runs and of the relay's lease, and a read-only one of the tasks that the report prints."""

import datetime

from django.db import models
from django.db.models import Q

QUEUED = "queued"
RUNNING = "running"
SUCCEEDED = "succeeded"
FAILED = "failed"
MISSED = "missed"
STATES = (QUEUED, RUNNING, SUCCEEDED, FAILED, MISSED)
# The states of a run that has not ended.
ACTIVE = (QUEUED, RUNNING)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


class Run(models.Model):
    """One execution of a job, for a slot of its schedule or by request."""

    id = models.BigAutoField(primary_key=True)
    job = models.CharField(max_length=64)
    # The minute in which the job was due, or the time of the request.
    slot = models.DateTimeField()
    # The id of the user who requested the run; 0 for a scheduled one.
    requested_by = models.BigIntegerField(default=0)
    state = models.CharField(max_length=16)
    # See turn_of(). The constraint allows a job one running and one queued run.
    turn = models.BigIntegerField()
    # Never NULL, which the drivers send without a type, so that not every server can read it as a time. serializers.py
    # shows in which states these two are meaningful.
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    outcome = models.CharField(max_length=200, default="")
    # One, plus one for each lost worker.
    attempts = models.IntegerField(default=0)
    # A random name for each stretch of work; only the current holder may update the row.
    holder = models.CharField(max_length=32, default="")
    # The number of renewals by the holder; 0 if it has handed the run back.
    lease = models.BigIntegerField(default=0)
    # How many workers in a row were lost without a new checkpoint.
    losses = models.IntegerField(default=0)
    # The progress as of the last renewal: units, and working time in milliseconds.
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    spent_ms = models.BigIntegerField(default=0)
    checkpoint = models.CharField(max_length=500, default="")
    # The id in the run's log lines: that of the request, or of the tick's message.
    request_id = models.CharField(max_length=32)

    class Meta:
        indexes = (
            # Serves the list of all runs, newest first, and the oldest runs; jobs_run_once serves the list of one job.
            models.Index(fields=["-slot", "-id"], name="jobs_run_newest"),
            # Finds the few active runs among the many that have ended, and serves the list of one state.
            models.Index(fields=["state", "-slot", "-id"], name="jobs_run_state"),
        )
        constraints = (
            models.UniqueConstraint(fields=["job", "slot"], name="jobs_run_once"),
            models.UniqueConstraint(fields=["job", "turn"], name="jobs_run_one_at_a_time"),
            models.CheckConstraint(condition=Q(state__in=STATES), name="jobs_run_state_known"),
            models.CheckConstraint(condition=Q(attempts__gte=0), name="jobs_run_attempts"),
        )

    def __str__(self) -> str:
        return f"{self.job} {self.slot:%Y-%m-%dT%H:%M:%SZ}"


def turn_of(state: str, slot: datetime.datetime) -> int:
    """Return 0 for a job's running run, 1 for its queued one, and a unique number for one that has ended.

    UNIQUE (job, turn) thus replaces a partial unique index on the state, and works on every engine.
    """
    fixed = {RUNNING: 0, QUEUED: 1}
    return fixed[state] if state in fixed else (slot - _EPOCH) // _MICROSECOND


class RelayLease(models.Model):
    """The single row that records which relay leads. The holder leads as long as it keeps incrementing ``beats``."""

    id = models.IntegerField(primary_key=True)
    holder = models.CharField(max_length=32)
    beats = models.BigIntegerField()
    # For operators and /readyz; the relays themselves do not compare clocks.
    seen_at = models.DateTimeField()

    class Meta:
        db_table = "jobs_relay_lease"

    def __str__(self) -> str:
        return self.holder


class Task(models.Model):
    """A task of the tasks service: read-only, with only the columns that the report needs."""

    id = models.BigAutoField(primary_key=True)
    owner_id = models.BigIntegerField()
    title = models.CharField(max_length=200)
    duration = models.IntegerField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "tasks_task"

    def __str__(self) -> str:
        return self.title
