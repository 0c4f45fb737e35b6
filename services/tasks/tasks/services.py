"""Writes."""

from collections.abc import Iterator, Sequence
from typing import Literal

from django.utils import timezone

from servicekit.database.deadlocks import retries_deadlocks
from tasks import raw_sql
from tasks.models import Task
from tasks.raw_sql import TaskRow

# How often a change is tried that somebody else's is in the way of.
LOOKS = 5


class TaskNotFound(Exception):
    """The owner has no such task."""


class TaskChanged(Exception):
    """The task is not at a version that the caller's conditions let through."""


# Any version, or one of these.
Versions = Literal["any"] | Sequence[int]


def is_among(version: int, versions: Versions) -> bool:
    """Whether the version is one of these."""
    return versions == "any" or version in versions


@retries_deadlocks
def create_task(*, owner_id: int, title: str, duration: int) -> TaskRow:
    """Stores a task of validated title and duration (minutes)."""
    now = timezone.now()
    task = Task.objects.create(owner_id=owner_id, title=title, duration=duration, created_at=now, updated_at=now)
    return TaskRow(task.id, title, duration, task.version, now, now)


@retries_deadlocks
def rename_task(
    *, task_id: int, owner_id: int, title: str, versions: Versions = "any", unless: Versions = ()
) -> TaskRow:
    """Sets the title of the task at one of ``versions`` and at none of ``unless``.

    Raises TaskNotFound or TaskChanged, and then has changed nothing.
    """
    now = timezone.now()
    for version in _candidates(task_id=task_id, owner_id=owner_id, versions=versions, unless=unless):
        task = raw_sql.rename(task_id=task_id, owner_id=owner_id, title=title, now=now, version=version)
        if task is not None:
            return task
    raise _why_not(task_id=task_id, owner_id=owner_id)


@retries_deadlocks
def delete_task(*, task_id: int, owner_id: int, versions: Versions = "any", unless: Versions = ()) -> None:
    """Deletes the task at one of ``versions`` and at none of ``unless``; raises as rename_task does."""
    for version in _candidates(task_id=task_id, owner_id=owner_id, versions=versions, unless=unless):
        if raw_sql.delete(task_id=task_id, owner_id=owner_id, version=version):
            return
    raise _why_not(task_id=task_id, owner_id=owner_id)


def _candidates(*, task_id: int, owner_id: int, versions: Versions, unless: Versions) -> Iterator[int | None]:
    """The versions to try, one after the other; None stands for any."""
    if not unless:
        yield from [None] if versions == "any" else versions
        return
    # Hardly anybody asks for this; so it is looked up first, and again where somebody else came in between.
    for _ in range(LOOKS):
        task = raw_sql.retrieve(task_id=task_id, owner_id=owner_id)
        if task is None or is_among(task.version, unless) or not is_among(task.version, versions):
            return
        yield task.version


def _why_not(*, task_id: int, owner_id: int) -> TaskNotFound | TaskChanged:
    """Only asked after a statement that changed nothing, so that it decides about words and not about data."""
    exists = raw_sql.retrieve(task_id=task_id, owner_id=owner_id) is not None
    return TaskChanged() if exists else TaskNotFound()
