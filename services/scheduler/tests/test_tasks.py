"""What the worker does with a message, whatever is in it."""

import logging

import pytest
from celery import states
from django.db import OperationalError

from jobs import tasks
from jobs.models import Run
from jobs.schedule import JOBS
from jobs.services import DatabaseUnavailable
from jobs.tasks import report_user_tasks_task
from scheduler_service.celery import app
from servicekit.process.context import request_id
from tests.conftest import SLOT

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGE = "2c65e3f4-97cb-4185-94b7-d76164536218"


def deliver(**arguments: object):
    """Runs the task as a worker would, without one."""
    return report_user_tasks_task.apply(kwargs=arguments, task_id=MESSAGE)


def test_every_job_has_a_task_of_that_name():
    app.loader.import_default_modules()
    assert {job.task for job in JOBS} <= set(app.tasks)


def test_message_runs_its_own_slot_for_the_configured_user(settings, caplog):
    settings.REPORT_USER_ID = 7
    caplog.set_level(logging.INFO, logger="jobs")

    assert deliver(slot="2026-01-31T09:30:00+00:00").state == states.SUCCESS

    run = Run.objects.get()
    assert (run.job, run.slot, run.task_id, run.state) == ("report-user-tasks", SLOT, MESSAGE, "succeeded")
    assert [(record.message, record.user) for record in caplog.records if record.message == "report"] == [("report", 7)]


def test_log_lines_of_a_job_carry_its_message(caplog):
    seen = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append((record.getMessage(), request_id()))
    caplog.set_level(logging.INFO, logger="jobs")
    logging.getLogger("jobs").addHandler(handler)
    try:
        deliver(slot="2026-01-31T09:30:00+00:00")
    finally:
        logging.getLogger("jobs").removeHandler(handler)

    assert seen == [("report", MESSAGE.replace("-", "")), ("job", MESSAGE.replace("-", ""))]
    assert request_id() == ""


@pytest.mark.parametrize("slot", ["", "garbled", None, 5, {"a": 1}, "2026-01-31T09:30:01+00:00"])
def test_unreadable_slot_is_logged_and_done_with(slot, caplog):
    assert deliver(slot=slot).state == states.SUCCESS
    assert [record.getMessage() for record in caplog.records] == ["slot unreadable"]
    assert not Run.objects.exists()


@pytest.mark.parametrize("arguments", [{}, {"slot": "2026-01-31T09:30:00+00:00", "more": 1}])
def test_message_of_another_shape_fails_and_is_not_delivered_again(arguments):
    assert deliver(**arguments).state == states.FAILURE
    assert report_user_tasks_task.acks_on_failure in (None, True)
    assert not Run.objects.exists()


def test_message_goes_back_while_the_database_is_away(monkeypatch, caplog):
    def away(**arguments: object) -> None:
        raise DatabaseUnavailable from OperationalError("no connection")

    monkeypatch.setattr(tasks, "run_job", away)
    monkeypatch.setattr(tasks, "PAUSE_SECONDS", 0)

    result = deliver(slot="2026-01-31T09:30:00+00:00")

    assert (result.state, result.result.requeue) == (states.REJECTED, True)
    (record,) = [record for record in caplog.records if record.name == "jobs.tasks"]
    assert (record.levelname, record.message, record.error) == ("WARNING", "database unavailable", "no connection")
