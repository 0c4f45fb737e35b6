import datetime

import pytest

from servicekit.pagination import Page
from tasks.models import Task
from tasks.raw_sql import TaskRow
from tasks.selectors import list_tasks, retrieve_task
from tasks.services import TaskChanged, TaskNotFound, create_task, delete_task, rename_task

pytestmark = pytest.mark.django_db

NOW = datetime.datetime(2026, 2, 1, 12, 0, 0, 7, tzinfo=datetime.UTC)
ANYTHING = Page(limit=100, before=None)


@pytest.fixture(autouse=True)
def frozen(time_machine) -> None:
    time_machine.move_to(NOW, tick=False)


def stored() -> list[tuple[object, ...]]:
    return list(Task.objects.order_by("id").values_list())


def test_created_task_is_returned_as_it_is_stored():
    task = create_task(owner_id=7, title="Read", duration=30)
    assert task == TaskRow(task.id, "Read", 30, 1, NOW, NOW)
    assert retrieve_task(task_id=task.id, owner_id=7) == task
    assert list_tasks(owner_id=7, page=ANYTHING) == ([task], False)


def test_renamed_task_is_returned_as_it_is_stored(make_task):
    before = make_task(title="Old")
    task = rename_task(task_id=before.id, owner_id=1, title="New")
    assert task == TaskRow(before.id, "New", before.duration, 2, before.created_at, NOW)
    assert retrieve_task(task_id=before.id, owner_id=1) == task


def test_rename_to_the_same_title_is_a_change(make_task):
    task = make_task(title="Same")
    assert rename_task(task_id=task.id, owner_id=1, title="Same").version == 2


@pytest.mark.parametrize("versions", ["any", [1], [5, 1], [1, 1]])
def test_rename_at_a_named_version_changes_once(make_task, versions):
    task = make_task()
    assert rename_task(task_id=task.id, owner_id=1, title="New", versions=versions).version == 2


@pytest.mark.parametrize("versions", ["any", [1], [5, 1]])
def test_delete_at_a_named_version(make_task, versions):
    task, other = make_task(), make_task()
    delete_task(task_id=task.id, owner_id=1, versions=versions)
    assert list(Task.objects.values_list("id", flat=True)) == [other.id]


@pytest.mark.parametrize("versions", [[], [2], [2, 3]])
def test_another_version_is_refused_and_nothing_changes(make_task, versions):
    task = make_task()
    before = stored()
    with pytest.raises(TaskChanged):
        rename_task(task_id=task.id, owner_id=1, title="New", versions=versions)
    with pytest.raises(TaskChanged):
        delete_task(task_id=task.id, owner_id=1, versions=versions)
    assert stored() == before


@pytest.mark.parametrize("versions", ["any", [], [1], [2]])
@pytest.mark.parametrize(("offset", "owner_id"), [(0, 2), (1, 1)], ids=["somebody else's", "missing"])
def test_somebody_elses_is_not_found_like_a_missing_one(make_task, offset, owner_id, versions):
    task_id = make_task().id + offset
    before = stored()
    with pytest.raises(TaskNotFound):
        rename_task(task_id=task_id, owner_id=owner_id, title="New", versions=versions)
    with pytest.raises(TaskNotFound):
        delete_task(task_id=task_id, owner_id=owner_id, versions=versions)
    assert retrieve_task(task_id=task_id, owner_id=owner_id) is None
    assert stored() == before
