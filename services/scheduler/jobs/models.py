"""The tables of runs and of the relay's lease, and the columns of tasks that the report prints."""

import datetime

from django.db import models
from django.db.models import Q

QUEUED = "queued"
RUNNING = "running"
SUCCEEDED = "succeeded"
FAILED = "failed"
MISSED = "missed"
STATES = (QUEUED, RUNNING, SUCCEEDED, FAILED, MISSED)
# The run is not over.
ACTIVE = (QUEUED, RUNNING)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


class Run(models.Model):
    """One execution of a job: for one slot of its schedule, or by request."""

    id = models.BigAutoField(primary_key=True)
    job = models.CharField(max_length=64)
    # The minute that the job was due in, or the time of the request.
    slot = models.DateTimeField()
    # The id of the user who requested it; 0 for the schedule.
    requested_by = models.BigIntegerField(default=0)
    state = models.CharField(max_length=16)
    # See turn_of(): the constraint lets one run of a job be running, and one be queued.
    turn = models.BigIntegerField()
    # Not NULL, which the drivers send without a type, so that not every server can read it as a time; serializers.py
    # says in which states these two are meaningful.
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    outcome = models.CharField(max_length=200, default="")
    # One, plus one for each lost worker.
    attempts = models.IntegerField(default=0)
    # A random name for each stretch of work; only the one stored here may write to the row.
    holder = models.CharField(max_length=32, default="")
    # Counts the renewals by the holder; 0 if it has handed the run back.
    lease = models.BigIntegerField(default=0)
    # How many workers in a row were lost without progress beyond the checkpoint.
    losses = models.IntegerField(default=0)
    # The progress as of the last renewal: units, and the milliseconds that they took.
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    spent_ms = models.BigIntegerField(default=0)
    checkpoint = models.CharField(max_length=500, default="")
    # The id in the log lines of the run: that of the request, or of the tick's message.
    request_id = models.CharField(max_length=32)

    class Meta:
        indexes = (
            # Serves the list of all jobs' runs, newest first, and the oldest; the constraint serves that of one job.
            models.Index(fields=["-slot", "-id"], name="jobs_run_newest"),
            # Serves the few active runs among the many that have ended, and the list of one state.
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

    UNIQUE (job, turn) then does what a partial index on the state would do, on every engine.
    """
    fixed = {RUNNING: 0, QUEUED: 1}
    return fixed[state] if state in fixed else (slot - _EPOCH) // _MICROSECOND


class RelayLease(models.Model):
    """The one row that says which relay leads. The holder increments ``beats``, and leads as long as it does."""

    id = models.IntegerField(primary_key=True)
    holder = models.CharField(max_length=32)
    beats = models.BigIntegerField()
    # For operators and /readyz; the relays themselves compare no clocks.
    seen_at = models.DateTimeField()

    class Meta:
        db_table = "jobs_relay_lease"

    def __str__(self) -> str:
        return self.holder


class Task(models.Model):
    """A task as the tasks service stores it: only the columns that the report needs, and read-only."""

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
