"""Each change of a task writes one event, in the same transaction; without a change there is no event."""

import datetime
import re

import pytest
from django.db import IntegrityError, transaction

from servicekit.process.context import set_request_id
from tasks import raw_sql
from tasks.models import Event, Task
from tasks.services import TaskChanged, TaskNotFound, create_task, delete_task, rename_task
from tests.conftest import AT

pytestmark = pytest.mark.django_db

NOW = datetime.datetime(2026, 2, 1, 12, 0, 0, 7, tzinfo=datetime.UTC)
REQUEST_ID = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def request_at_a_fixed_time(time_machine):
    time_machine.move_to(NOW, tick=False)
    set_request_id(REQUEST_ID)
    yield
    set_request_id("")


def only_event() -> dict[str, object]:
    (event,) = Event.objects.values()
    assert re.fullmatch("[0-9a-f]{32}", event.pop("uuid"))
    del event["id"]
    return event


def event_of(task: raw_sql.TaskRow, kind: str) -> dict[str, object]:
    return {
        "type": kind,
        "owner_id": 7,
        "task_id": task.id,
        "version": task.version,
        "title": task.title,
        "duration": task.duration,
        "task_created_at": task.created_at,
        "task_updated_at": task.updated_at,
        "request_id": REQUEST_ID,
        "created_at": NOW,
    }


def test_creation_is_an_event():
    task = create_task(owner_id=7, title="Äpfel 😀", duration=30)
    assert only_event() == event_of(task, "task.created")


@pytest.mark.parametrize("at_its_version", [False, True])
def test_rename_is_an_event_with_the_task_as_it_is_then(make_task, at_its_version):
    before = make_task(owner_id=7, created_at=AT)
    conditions = {"if_match": [before.version]} if at_its_version else {}
    task = rename_task(task_id=before.id, owner_id=7, title="New", **conditions)
    assert only_event() == event_of(task, "task.renamed")
    assert task.created_at == AT


@pytest.mark.parametrize("at_its_version", [False, True])
def test_deletion_is_an_event_with_the_task_as_it_was(make_task, at_its_version):
    task = make_task(owner_id=7, created_at=AT)
    conditions = {"if_match": [task.version]} if at_its_version else {}
    delete_task(task_id=task.id, owner_id=7, **conditions)
    assert only_event() == event_of(task, "task.deleted")


@pytest.mark.parametrize(
    ("offset", "owner_id", "conditions", "refusal"),
    [
        pytest.param(0, 2, {}, TaskNotFound, id="another user's"),
        pytest.param(1, 1, {}, TaskNotFound, id="no such task"),
        pytest.param(0, 1, {"if_match": [2]}, TaskChanged, id="another version"),
        pytest.param(0, 1, {"if_match": []}, TaskChanged, id="no version"),
        pytest.param(0, 1, {"if_none_match": [1]}, TaskChanged, id="an excluded version"),
    ],
)
def test_what_changes_nothing_writes_no_event(make_task, offset, owner_id, conditions, refusal):
    task_id = make_task().id + offset
    with pytest.raises(refusal):
        rename_task(task_id=task_id, owner_id=owner_id, title="New", **conditions)
    with pytest.raises(refusal):
        delete_task(task_id=task_id, owner_id=owner_id, **conditions)
    assert not Event.objects.exists()


def test_events_of_a_task_are_in_the_order_of_its_changes():
    task = create_task(owner_id=7, title="First", duration=30)
    for title in ("Second", "Third"):
        rename_task(task_id=task.id, owner_id=7, title=title)
    delete_task(task_id=task.id, owner_id=7)
    events = list(Event.objects.order_by("id").values_list("type", "title"))
    assert events == [
        ("task.created", "First"),
        ("task.renamed", "Second"),
        ("task.renamed", "Third"),
        ("task.deleted", "Third"),
    ]
    assert len(set(Event.objects.values_list("uuid", flat=True))) == 4


@pytest.mark.parametrize("change", ["create", "rename", "delete"])
@pytest.mark.django_db(transaction=True)
def test_an_event_that_cannot_be_written_leaves_the_task_as_it_was(make_task, monkeypatch, change):
    task = make_task()
    before = list(Task.objects.values())
    changes = {
        "create": lambda: create_task(owner_id=1, title="New", duration=5),
        "rename": lambda: rename_task(task_id=task.id, owner_id=1, title="New"),
        "delete": lambda: delete_task(task_id=task.id, owner_id=1),
    }
    monkeypatch.setattr(raw_sql, "request_id", lambda: None)
    with pytest.raises(IntegrityError, match="request_id"):
        changes[change]()
    assert list(Task.objects.values()) == before


@pytest.mark.django_db(transaction=True)
def test_a_change_that_is_rolled_back_leaves_no_event():
    with transaction.atomic():
        create_task(owner_id=7, title="Never", duration=30)
        transaction.set_rollback(True)
    assert not Event.objects.exists()
