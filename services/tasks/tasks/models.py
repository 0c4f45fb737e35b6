"""The table of tasks. Its integrity stands here, in the database; serializers only say it more politely."""

import secrets

from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

TITLE_MAXIMUM_UNITS = 200
DURATION_MAXIMUM_MINUTES = 525_600  # A year.
VERSION_MAXIMUM = 10**15 - 1


def new_version() -> int:
    """The name of one state of one task, drawn at each change.

    Not a count: that would begin anew in a database that replaces another or is restored, and a client would take the
    task there for the one that it has.
    """
    return 1 + secrets.randbelow(VERSION_MAXIMUM)


class Task(models.Model):
    """Something that a user plans to do, and for how long."""

    id = models.BigAutoField(primary_key=True)
    # Not a foreign key: the table of users belongs to another service.
    owner_id = models.BigIntegerField()
    title = models.CharField(max_length=TITLE_MAXIMUM_UNITS)
    duration = models.IntegerField()
    # Another one after each change; it is the ETag.
    version = models.BigIntegerField(default=new_version)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        # Serves the list: one seek to the owner's newest, then in order.
        indexes = (models.Index(fields=["owner_id", "-created_at", "-id"], name="tasks_task_newest"),)
        constraints = (
            # By length, since in SQL Server's usual collation a title of emoji equals the empty string. SQLite ignores
            # the length of a varchar, and counts characters where SQL Server counts UTF-16 units, so there this is
            # the looser bound and the serializer's the exact one.
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
