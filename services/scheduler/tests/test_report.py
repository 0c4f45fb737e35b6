"""What report-user-tasks prints."""

import datetime
import logging

import pytest
from django.utils import timezone

from jobs import selectors
from jobs.models import Task
from jobs.report import report_user_tasks
from tests.conftest import SECOND, SLOT

pytestmark = pytest.mark.django_db

OWN_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "service", "request_id"}


def fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in OWN_FIELDS}


def make_task(number: int, **values: object) -> Task:
    defaults = {"owner_id": 1, "title": f"Task {number}", "duration": number, "created_at": SLOT + number * SECOND}
    return Task.objects.create(**{**defaults, "updated_at": SLOT + number * SECOND, **values})


def test_every_task_of_the_user_newest_first(caplog):
    caplog.set_level(logging.INFO, logger="jobs")
    make_task(1, title="Wäsche\nwaschen")
    make_task(2, updated_at=SLOT + datetime.timedelta(days=1, microseconds=7))
    make_task(3, owner_id=2)

    outcome = report_user_tasks(user_id=1)

    assert outcome == "2 tasks"
    assert [(record.levelname, record.getMessage(), fields(record)) for record in caplog.records] == [
        (
            "INFO",
            "task",
            {
                "title": "Task 2",
                "duration": 2,
                "created_at": "2026-01-31T09:30:02.000000Z",
                "updated_at": "2026-02-01T09:30:00.000007Z",
            },
        ),
        (
            "INFO",
            "task",
            {
                "title": "Wäsche\nwaschen",
                "duration": 1,
                "created_at": "2026-01-31T09:30:01.000000Z",
                "updated_at": "2026-01-31T09:30:01.000000Z",
            },
        ),
        ("INFO", "report", {"user": 1, "count": 2}),
    ]


def test_no_task_is_the_summary_alone(caplog):
    caplog.set_level(logging.INFO, logger="jobs")
    assert report_user_tasks(user_id=1) == "0 tasks"
    assert [(record.getMessage(), fields(record)) for record in caplog.records] == [("report", {"user": 1, "count": 0})]


def test_one_task_is_no_plural():
    make_task(1)
    assert report_user_tasks(user_id=1) == "1 task"


def test_pages_neither_skip_nor_repeat_tasks_of_one_moment(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(selectors, "TASKS_AT_ONCE", 3)
    now = timezone.now()
    made = [make_task(number, created_at=now).id for number in range(7)]

    with django_assert_num_queries(3):
        seen = [task.id for task in selectors.iterate_tasks(owner_id=1)]

    assert seen == made[::-1]
