import datetime

import pytest

from servicekit.http.pagination import Page
from tasks import raw_sql
from tasks.models import VERSION_MAXIMUM, Task
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
    assert task == TaskRow(task.id, "Read", 30, task.version, NOW, NOW)
    assert retrieve_task(task_id=task.id, owner_id=7) == task
    assert list_tasks(owner_id=7, page=ANYTHING) == ([task], False)


def test_renamed_task_is_returned_as_it_is_stored(make_task):
    before = make_task(title="Old")
    task = rename_task(task_id=before.id, owner_id=1, title="New")
    assert task == TaskRow(before.id, "New", before.duration, task.version, before.created_at, NOW)
    assert retrieve_task(task_id=before.id, owner_id=1) == task


def test_rename_to_the_same_title_is_a_change(make_task):
    task = make_task(title="Same")
    assert rename_task(task_id=task.id, owner_id=1, title="Same").version != task.version


def test_no_version_comes_back_not_even_in_a_database_that_replaces_this_one(db):
    """A counter's would: the first task of every database would be at its first version."""
    first = create_task(owner_id=1, title="Read", duration=30)
    versions = [first.version, create_task(owner_id=1, title="Read", duration=30).version]
    versions += [rename_task(task_id=first.id, owner_id=1, title="Read").version for _ in range(100)]
    assert len(set(versions)) == 102
    assert all(1 <= version <= VERSION_MAXIMUM for version in versions)


@pytest.mark.parametrize("if_match", ["any", [1], [5, 1], [1, 1]])
def test_rename_at_a_named_version_changes_once(make_task, if_match):
    task = make_task()
    assert rename_task(task_id=task.id, owner_id=1, title="New", if_match=if_match).title == "New"


@pytest.mark.parametrize("if_match", ["any", [1], [5, 1]])
def test_delete_at_a_named_version(make_task, if_match):
    task, other = make_task(), make_task()
    delete_task(task_id=task.id, owner_id=1, if_match=if_match)
    assert list(Task.objects.values_list("id", flat=True)) == [other.id]


@pytest.mark.parametrize("if_match", [[], [2], [2, 3]])
def test_another_version_is_refused_and_nothing_changes(make_task, if_match):
    task = make_task()
    before = stored()
    with pytest.raises(TaskChanged):
        rename_task(task_id=task.id, owner_id=1, title="New", if_match=if_match)
    with pytest.raises(TaskChanged):
        delete_task(task_id=task.id, owner_id=1, if_match=if_match)
    assert stored() == before


@pytest.mark.parametrize(("if_match", "if_none_match"), [("any", [2]), ([1], [2]), ([1, 3], [2, 3])])
def test_versions_that_are_ruled_out_are_others(make_task, if_match, if_none_match):
    task, other = make_task(), make_task()
    assert (
        rename_task(task_id=task.id, owner_id=1, title="New", if_match=if_match, if_none_match=if_none_match).title
        == "New"
    )
    delete_task(task_id=other.id, owner_id=1, if_match=if_match, if_none_match=if_none_match)
    assert list(Task.objects.values_list("title", flat=True)) == ["New"]


@pytest.mark.parametrize(("if_match", "if_none_match"), [("any", "any"), ("any", [2, 1]), ([1], [1]), ([2], [3])])
def test_a_version_that_is_ruled_out_is_refused_and_nothing_changes(make_task, if_match, if_none_match):
    task = make_task()
    before = stored()
    with pytest.raises(TaskChanged):
        rename_task(task_id=task.id, owner_id=1, title="New", if_match=if_match, if_none_match=if_none_match)
    with pytest.raises(TaskChanged):
        delete_task(task_id=task.id, owner_id=1, if_match=if_match, if_none_match=if_none_match)
    assert stored() == before


def test_another_change_in_between_does_not_fulfil_what_was_ruled_out(make_task, monkeypatch):
    task, rename, renamed = make_task(), raw_sql.rename, []

    def overtaken(**arguments):
        if not renamed:
            renamed.append(rename(**arguments | {"title": "Somebody else's"}))
        return rename(**arguments)

    monkeypatch.setattr(raw_sql, "rename", overtaken)

    assert rename_task(task_id=task.id, owner_id=1, title="New", if_none_match=[task.version + 1]).title == "New"
    assert renamed[0].title == "Somebody else's"


@pytest.mark.parametrize("if_none_match", [(), [1], "any"])
@pytest.mark.parametrize("if_match", ["any", [], [1], [2]])
@pytest.mark.parametrize(("offset", "owner_id"), [(0, 2), (1, 1)], ids=["somebody else's", "missing"])
def test_somebody_elses_is_not_found_like_a_missing_one(make_task, offset, owner_id, if_match, if_none_match):
    task_id = make_task().id + offset
    before = stored()
    with pytest.raises(TaskNotFound):
        rename_task(task_id=task_id, owner_id=owner_id, title="New", if_match=if_match, if_none_match=if_none_match)
    with pytest.raises(TaskNotFound):
        delete_task(task_id=task_id, owner_id=owner_id, if_match=if_match, if_none_match=if_none_match)
    assert retrieve_task(task_id=task_id, owner_id=owner_id) is None
    assert stored() == before
