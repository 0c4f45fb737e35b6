"""The database's own constraints, which apply to every writer."""

import pytest
from django.db import IntegrityError, transaction

from tasks.models import Task

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"title": ""}, id="empty title"),
        pytest.param({"title": None}, id="no title"),
        pytest.param({"duration": 0}, id="no minute"),
        pytest.param({"duration": -1}, id="negative duration"),
        pytest.param({"duration": 525_601}, id="more than a year"),
        pytest.param({"duration": None}, id="no duration"),
        pytest.param({"owner_id": None}, id="no owner"),
    ],
)
def test_database_refuses(make_task, values):
    with pytest.raises(IntegrityError), transaction.atomic():
        make_task(**values)
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"title": "x"}, id="shortest title"),
        pytest.param({"title": "x" * 200}, id="longest title"),
        pytest.param({"title": "😀" * 100}, id="emoji only, as many as fit"),
        pytest.param({"title": "\u200b"}, id="a character without width"),
        pytest.param({"duration": 1}, id="shortest duration"),
        pytest.param({"duration": 525_600}, id="longest duration"),
        pytest.param({"owner_id": 2**63 - 1}, id="largest owner"),
    ],
)
def test_database_keeps(make_task, values):
    task = make_task(**values)
    assert Task.objects.filter(id=task.id).values(*values).get() == values


def test_update_is_checked_like_an_insert(make_task):
    task = make_task(duration=5)
    with pytest.raises(IntegrityError), transaction.atomic():
        Task.objects.filter(id=task.id).update(duration=0)
    task.refresh_from_db()
    assert task.duration == 5


def test_task_is_shown_by_its_title():
    assert str(Task(title="Read")) == "Read"
