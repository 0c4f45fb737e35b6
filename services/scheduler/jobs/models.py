"""The table of runs, which decides what runs; and the tasks, of which the report reads what it prints."""

from django.db import models
from django.db.models import Q

RUNNING = "running"
SUCCEEDED = "succeeded"
FAILED = "failed"


class Run(models.Model):
    """One job's run for one slot. Whoever inserts the row runs the job; the constraint lets one."""

    id = models.BigAutoField(primary_key=True)
    job = models.CharField(max_length=64)
    # The minute that the job was due in.
    slot = models.DateTimeField()
    state = models.CharField(max_length=16)
    # When the current attempt began. An attempt that was cut off by the death of its worker is followed by another.
    started_at = models.DateTimeField()
    # The beginning while it runs, and not NULL: the drivers send that without a type, which not every server can read
    # as a time.
    finished_at = models.DateTimeField()
    outcome = models.CharField(max_length=200)
    attempts = models.IntegerField()
    # The Celery message that holds the run.
    task_id = models.CharField(max_length=64)

    class Meta:
        indexes = (
            # Serves the list of all jobs' runs, newest first, and finds the oldest; the list of one job's is served by
            # the constraint.
            models.Index(fields=["-slot", "-id"], name="jobs_run_newest"),
            # Finds the few that are running among the many that have ended.
            models.Index(fields=["state", "started_at"], name="jobs_run_state"),
        )
        constraints = (
            models.UniqueConstraint(fields=["job", "slot"], name="jobs_run_once"),
            models.CheckConstraint(condition=Q(state__in=(RUNNING, SUCCEEDED, FAILED)), name="jobs_run_state_known"),
            models.CheckConstraint(condition=Q(attempts__gte=1), name="jobs_run_attempts"),
        )

    def __str__(self) -> str:
        return f"{self.job} {self.slot:%Y-%m-%dT%H:%MZ}"


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
