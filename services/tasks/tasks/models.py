"""The tables. The database enforces their integrity; serializers only report violations more politely."""

import random

from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

TITLE_MAXIMUM_UNITS = 200
DURATION_MAXIMUM_MINUTES = 525_600  # A year.
VERSION_MAXIMUM = 10**15 - 1


def new_version() -> int:
    """Return a random version for one state of one task; each change draws another.

    A counter would start again in a restored or replaced database, where a client could mistake another state of a task
    for the one that it has.
    """
    # Not a secret, so no system call for each: every worker process has its own seed.
    return random.randint(1, VERSION_MAXIMUM)  # noqa: S311


class Task(models.Model):
    """A task that a user plans to do, and its duration."""

    id = models.BigAutoField(primary_key=True)
    # Not a foreign key: the table of users belongs to another service.
    owner_id = models.BigIntegerField()
    title = models.CharField(max_length=TITLE_MAXIMUM_UNITS)
    duration = models.IntegerField()
    # Drawn at each change; used as the ETag.
    version = models.BigIntegerField(default=new_version)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        # Serves the list: one seek to the owner's newest task, then in order.
        indexes = (models.Index(fields=["owner_id", "-created_at", "-id"], name="tasks_task_newest"),)
        constraints = (
            # By length, since in SQL Server's usual collation a title of emoji equals the empty string. SQLite ignores
            # the length of a varchar, and counts characters where SQL Server counts UTF-16 code units, so on SQLite
            # this bound is looser than the serializer's.
            models.CheckConstraint(
                condition=GreaterThanOrEqual(Length("title"), 1)
                & LessThanOrEqual(Length("title"), TITLE_MAXIMUM_UNITS),
                name="tasks_task_title_length",
            ),
            models.CheckConstraint(
                condition=Q(duration__gte=1) & Q(duration__lte=DURATION_MAXIMUM_MINUTES), name="tasks_task_duration"
            ),
        )

    def __str__(self) -> str:
        return self.title


class Event(models.Model):
    """One change of one task: an append-only log, written in the transaction of the change.

    The scheduler reads it in the order of ids. The ids of one task's events are in the order of its changes, since each
    row is written while the task's row is locked; ids of different tasks may become visible later than higher ones.

    No constraint, foreign key or trigger: SQL Server refuses them on the target of OUTPUT … INTO.
    """

    id = models.BigAutoField(primary_key=True)
    uuid = models.CharField(max_length=32)  # Hexadecimal; by this, consumers recognise a repeated delivery.
    type = models.CharField(max_length=20)  # task.created, task.renamed or task.deleted
    owner_id = models.BigIntegerField()
    task_id = models.BigIntegerField()
    # The task as clients see it after the change, or saw it before the deletion.
    version = models.BigIntegerField()
    title = models.CharField(max_length=TITLE_MAXIMUM_UNITS)
    duration = models.IntegerField()
    task_created_at = models.DateTimeField()
    task_updated_at = models.DateTimeField()
    request_id = models.CharField(max_length=32)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.type} {self.task_id}"


class IdempotencyKey(models.Model):
    """A creation that its client may repeat, and the task that it created."""

    id = models.BigAutoField(primary_key=True)
    owner_id = models.BigIntegerField()
    # SHA-256 of the key and of the task's fields, in hexadecimal: SQL Server's usual collation equates "a" and "A".
    key = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    # Together with the values of the request, these reproduce the first response.
    task_id = models.BigIntegerField()
    version = models.BigIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["owner_id", "key"], name="tasks_idempotencykey_once"),)

    def __str__(self) -> str:
        return f"task {self.task_id}"
