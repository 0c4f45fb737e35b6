"""The worker's handling of messages, including malformed ones."""

import logging

import pytest
from celery import states
from django.db import OperationalError

from jobs import tasks
from jobs.models import Run
from jobs.runner import DatabaseUnavailable
from jobs.tasks import continue_, tick
from servicekit.process.context import request_id
from tests.conftest import SLOT, make_run

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGE = "2c65e3f4-97cb-4185-94b7-d76164536218"
HEX = MESSAGE.replace("-", "")
TICK = {"job": "report-user-tasks", "slot": "2026-01-31T09:30:00+00:00"}


def deliver(task, **arguments: object):
    """Run the task as a worker would, and return its result."""
    return task.apply(kwargs=arguments, task_id=MESSAGE)


def test_tick_runs_its_own_slot_for_the_configured_user(settings, caplog):
    settings.REPORT_USER_ID = 7
    caplog.set_level(logging.INFO, logger="jobs")

    assert deliver(tick, **TICK).state == states.SUCCESS

    run = Run.objects.get()
    assert (run.job, run.slot, run.request_id, run.state) == ("report-user-tasks", SLOT, HEX, "succeeded")
    assert [(record.message, record.user) for record in caplog.records if record.message == "report"] == [("report", 7)]


def test_relays_message_starts_the_queued_run():
    run = make_run(state="queued", requested_by=7)
    assert deliver(continue_, job=run.job, run_id=run.id, holder="").state == states.SUCCESS
    assert Run.objects.values_list("state", "attempts").get() == ("succeeded", 1)


def test_log_lines_of_a_tick_carry_its_message(caplog):
    seen = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append((record.getMessage(), request_id()))
    caplog.set_level(logging.INFO, logger="jobs")
    logging.getLogger("jobs").addHandler(handler)
    try:
        deliver(tick, **TICK)
    finally:
        logging.getLogger("jobs").removeHandler(handler)

    assert seen == [("report", HEX), ("job", HEX)]
    assert request_id() == ""


@pytest.mark.parametrize(
    "changes",
    [
        *({"slot": slot} for slot in ("", "garbled", None, 5, {"a": 1}, "2026-01-31T09:30:01+00:00")),
        *({"job": job} for job in ("", "nothing", None, 5, ["a"])),
    ],
)
def test_unreadable_tick_is_logged_and_done_with(changes, caplog):
    assert deliver(tick, **{**TICK, **changes}).state == states.SUCCESS
    assert [record.getMessage() for record in caplog.records] == ["tick unreadable"]
    assert not Run.objects.exists()


def test_run_of_a_job_that_is_gone_is_logged_and_done_with(caplog):
    assert deliver(continue_, job="removed", run_id=1, holder="").state == states.SUCCESS
    assert [record.getMessage() for record in caplog.records] == ["job unknown"]


@pytest.mark.parametrize("task", [tick, continue_])
@pytest.mark.parametrize("arguments", [{}, {**TICK, "more": 1}])
def test_message_of_another_shape_fails_and_is_not_delivered_again(task, arguments):
    assert deliver(task, **arguments).state == states.FAILURE
    assert task.acks_on_failure in (None, True)
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("task", "arguments"), [(tick, TICK), (continue_, {"job": "report-user-tasks", "run_id": 1, "holder": ""})]
)
def test_message_goes_back_while_the_database_is_unavailable(monkeypatch, caplog, task, arguments):
    def unavailable(**arguments: object) -> None:
        raise DatabaseUnavailable from OperationalError("no connection")

    monkeypatch.setattr(tasks, "run_slot", unavailable)
    monkeypatch.setattr(tasks, "continue_run", unavailable)
    monkeypatch.setattr(tasks, "PAUSE_SECONDS", 0)

    result = deliver(task, **arguments)

    assert (result.state, result.result.requeue) == (states.REJECTED, True)
    (record,) = [record for record in caplog.records if record.name == "jobs.tasks"]
    assert (record.levelname, record.message, record.error) == ("WARNING", "database unavailable", "no connection")
