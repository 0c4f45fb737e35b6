"""The runs of jobs, the lease of the relay, and the tasks, of which the report reads what it prints."""

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
    """One execution of a job: for one slot of its schedule, or because somebody asked for it."""

    id = models.BigAutoField(primary_key=True)
    job = models.CharField(max_length=64)
    # The minute that the job was due in, or the moment in which the run was asked for.
    slot = models.DateTimeField()
    # The id of the user who asked; 0 for the schedule.
    requested_by = models.BigIntegerField(default=0)
    state = models.CharField(max_length=16)
    # See turn_of(): the constraint lets one run of a job be running, and one be queued.
    turn = models.BigIntegerField()
    # No NULL, which the drivers send without a type, so that not every server can read it as a time; serializers.py
    # says in which states these two mean something.
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    outcome = models.CharField(max_length=200, default="")
    # One, and one more for each worker that was lost.
    attempts = models.IntegerField(default=0)
    # A random name for each stretch of work; only the one that stands here may write to the row.
    holder = models.CharField(max_length=32, default="")
    # Counts the renewals by the holder; 0 where it has handed the run back.
    lease = models.BigIntegerField(default=0)
    # How many workers in a row were lost without getting further than the checkpoint.
    losses = models.IntegerField(default=0)
    # How far the work is, as of the last renewal: units, and the milliseconds that it took.
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    spent_ms = models.BigIntegerField(default=0)
    checkpoint = models.CharField(max_length=500, default="")
    # The id in the log lines of the run: that of the request, or of the tick's message.
    request_id = models.CharField(max_length=32)

    class Meta:
        indexes = (
            # The list of all jobs' runs, newest first, and the oldest; the constraint serves the list of one job's.
            models.Index(fields=["-slot", "-id"], name="jobs_run_newest"),
            # The few that are active among the many that have ended, and the list of those in one state.
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
    """Return 0 for the running run of a job, 1 for the queued one, and for one that is over a number that no other has.

    UNIQUE (job, turn) then does what a partial index on the state would do, on every engine.
    """
    fixed = {RUNNING: 0, QUEUED: 1}
    return fixed[state] if state in fixed else (slot - _EPOCH) // _MICROSECOND


class RelayLease(models.Model):
    """The one row that says which relay leads. The holder counts ``beats`` up, and leads until it stops counting."""

    id = models.IntegerField(primary_key=True)
    holder = models.CharField(max_length=32)
    beats = models.BigIntegerField()
    # For people and /readyz; the relays themselves compare no clocks.
    seen_at = models.DateTimeField()

    class Meta:
        db_table = "jobs_relay_lease"

    def __str__(self) -> str:
        return self.holder


class Task(models.Model):
    """A task, as the tasks service stores it: the columns that the report needs, to be read and never written."""

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
