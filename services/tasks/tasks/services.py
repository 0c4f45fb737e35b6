"""Write tasks."""

import datetime
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Literal

from django.db import IntegrityError, transaction
from django.utils import timezone

from servicekit.database.deadlocks import retries_deadlocks
from servicekit.metrics import Counter
from tasks import raw_sql
from tasks.models import IdempotencyKey
from tasks.raw_sql import ANY_VERSION, TaskRow

# How many times to try while other requests keep interfering.
ATTEMPTS = 5
# A client may repeat a creation for this long.
KEY_LIFETIME = datetime.timedelta(hours=24)

REPLAYED = Counter("tasks_idempotent_replays", "Creations that were repeated with their idempotency key.")


class TaskNotFound(Exception):
    """The owner has no such task."""


class TaskChanged(Exception):
    """The task is not at a version that the caller's conditions allow."""


class KeyReused(Exception):
    """The owner has created another task with this idempotency key."""


# The versions that If-Match or If-None-Match names; "any" stands for ``*``.
Versions = Literal["any"] | Sequence[int]


def is_among(version: int, versions: Versions) -> bool:
    """Return whether the version is one of ``versions``."""
    return versions == "any" or version in versions


@retries_deadlocks
def create_task(*, owner_id: int, title: str, duration: int) -> TaskRow:
    """Store a task with a validated title and duration (minutes)."""
    return raw_sql.create(owner_id=owner_id, title=title, duration=duration, now=timezone.now())


def create_task_once(*, owner_id: int, title: str, duration: int, key: str) -> tuple[TaskRow, bool]:
    """Store a task like create_task(), but once per key; return the task as created, and whether this is a repeat.

    Of several concurrent calls, one stores the task and the others wait for it. Raises KeyReused if the key was used
    with another title or duration.
    """
    hashed, fingerprint = _hash(key), _hash(json.dumps([title, duration]))
    for _ in range(ATTEMPTS):
        try:
            return _create_with_key(owner_id, title, duration, hashed, fingerprint), False
        except IntegrityError:
            known = IdempotencyKey.objects.filter(owner_id=owner_id, key=hashed).first()
        # If the key is missing, it was deleted meanwhile.
        if known is not None and abs(timezone.now() - known.created_at) < KEY_LIFETIME:
            if known.fingerprint != fingerprint:
                raise KeyReused
            REPLAYED.inc()
            return TaskRow(known.task_id, title, duration, known.version, known.created_at, known.created_at), True
        if known is not None:
            IdempotencyKey.objects.filter(id=known.id).delete()
    raise LookupError("other requests keep inserting and deleting this idempotency key")


@retries_deadlocks
@transaction.atomic
def _create_with_key(owner_id: int, title: str, duration: int, key: str, fingerprint: str) -> TaskRow:
    task = raw_sql.create(owner_id=owner_id, title=title, duration=duration, now=timezone.now())
    # Last, so that a concurrent call with the same key waits only for the end of this transaction.
    IdempotencyKey.objects.create(
        owner_id=owner_id,
        key=key,
        fingerprint=fingerprint,
        task_id=task.id,
        version=task.version,
        created_at=task.created_at,
    )
    return task


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@retries_deadlocks
def rename_task(
    *, task_id: int, owner_id: int, title: str, if_match: Versions = "any", if_none_match: Versions = ()
) -> TaskRow:
    """Set the task's title if its version is among ``if_match`` and not among ``if_none_match``.

    Raises TaskNotFound or TaskChanged if nothing was changed.
    """
    now = timezone.now()
    for version in _candidates(task_id=task_id, owner_id=owner_id, if_match=if_match, if_none_match=if_none_match):
        task = raw_sql.rename(task_id=task_id, owner_id=owner_id, title=title, now=now, version=version)
        if task is not None:
            return task
    raise _refusal(task_id=task_id, owner_id=owner_id)


@retries_deadlocks
def delete_task(*, task_id: int, owner_id: int, if_match: Versions = "any", if_none_match: Versions = ()) -> None:
    """Delete the task under the same conditions; raises the same exceptions as rename_task()."""
    now = timezone.now()
    for version in _candidates(task_id=task_id, owner_id=owner_id, if_match=if_match, if_none_match=if_none_match):
        if raw_sql.delete(task_id=task_id, owner_id=owner_id, now=now, version=version):
            return
    raise _refusal(task_id=task_id, owner_id=owner_id)


def _candidates(*, task_id: int, owner_id: int, if_match: Versions, if_none_match: Versions) -> Iterator[int]:
    """Yield the versions to try, one after the other."""
    if not if_none_match:
        yield from [ANY_VERSION] if if_match == "any" else if_match
        return
    # If-None-Match is rare in a change. The version is read first, and again after a concurrent change.
    for _ in range(ATTEMPTS):
        task = raw_sql.retrieve(task_id=task_id, owner_id=owner_id)
        if task is None or is_among(task.version, if_none_match) or not is_among(task.version, if_match):
            return
        yield task.version


def _refusal(*, task_id: int, owner_id: int) -> TaskNotFound | TaskChanged:
    """Return the reason why a statement changed nothing; it affects only the response, not the data."""
    exists = raw_sql.retrieve(task_id=task_id, owner_id=owner_id) is not None
    return TaskChanged() if exists else TaskNotFound()
