"""Exactly one run for each job and slot: who may claim, who may take over, and what is recorded."""

import datetime
import logging
import os
import subprocess
import sys

import pytest
import time_machine
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import Error, IntegrityError, InterfaceError, OperationalError, ProgrammingError

from jobs import services
from jobs.models import Run
from jobs.schedule import REPORT_USER_TASKS as JOB
from jobs.services import DatabaseUnavailable, claim_run, delete_old_runs, fail_abandoned_runs, finish_run, run_job
from tests.conftest import MINUTE, ROOT, SECOND, SLOT, make_run

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = settings.CELERY_TASK_TIME_LIMIT * SECOND


class Work:
    """A job that counts its calls, and raises where it is told to."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.calls = 0
        self.error = error

    def __call__(self) -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return "3 tasks"


def claim(task_id: str) -> Run | None:
    return claim_run(job=JOB, slot=SLOT, task_id=task_id)


def run(work: Work, task_id: str = "message", slot: datetime.datetime = SLOT) -> None:
    run_job(job=JOB, slot=slot, task_id=task_id, work=work)


@time_machine.travel(SLOT + SECOND, tick=False)
def test_run_is_recorded(caplog):
    caplog.set_level(logging.INFO, logger="jobs")
    work = Work()

    run(work)

    assert work.calls == 1
    (row,) = Run.objects.values()
    assert {name: value for name, value in row.items() if name != "id"} == {
        "job": "report-user-tasks",
        "slot": SLOT,
        "state": "succeeded",
        "started_at": SLOT + SECOND,
        "finished_at": SLOT + SECOND,
        "outcome": "3 tasks",
        "attempts": 1,
        "task_id": "message",
    }
    (record,) = caplog.records
    assert (record.getMessage(), record.job, record.slot, record.state) == (
        "job",
        "report-user-tasks",
        "2026-01-31T09:30:00.000000Z",
        "succeeded",
    )


def test_run_takes_four_statements_beside_the_work(django_assert_num_queries):
    # The insert, the end, the end of abandoned ones, the look for old ones; and BEGIN and COMMIT around the first.
    with django_assert_num_queries(6):
        run(Work())


def test_slot_that_is_done_is_not_run_again_by_anyone(caplog):
    caplog.set_level(logging.INFO, logger="jobs")
    work = Work()

    run(work, "first")
    run(work, "first")
    run(work, "second")

    assert work.calls == 1
    assert [record.getMessage() for record in caplog.records] == ["job"]
    assert Run.objects.get().attempts == 1


def test_other_slots_and_jobs_are_not_in_the_way():
    make_run(slot=SLOT - MINUTE)
    make_run(job="another")
    work = Work()
    run(work)
    assert work.calls == 1


def test_same_message_takes_over_at_once():
    with time_machine.travel(SLOT, tick=False):
        assert claim("message").attempts == 1
    with time_machine.travel(SLOT + SECOND, tick=False):
        assert claim("message").attempts == 2
    row = Run.objects.get()
    assert (row.attempts, row.started_at, row.state) == (2, SLOT + SECOND, "running")


def test_another_message_takes_over_only_what_no_process_can_still_be_doing():
    with time_machine.travel(SLOT, tick=False):
        assert claim("first")
    with time_machine.travel(SLOT + LIMIT, tick=False):
        assert claim("second") is None
    with time_machine.travel(SLOT + LIMIT + SECOND, tick=False):
        assert claim("second").attempts == 2
        assert claim("third") is None
    assert Run.objects.get().task_id == "second"


def test_slot_is_given_up_after_five_attempts():
    assert [bool(claim("message")) for _ in range(6)] == [True] * 5 + [False]


def test_attempt_that_was_taken_over_changes_nothing_at_its_end():
    first = claim("message")
    second = claim("message")

    finish_run(run=first, state="failed", outcome="late")
    assert Run.objects.get().state == "running"

    finish_run(run=second, state="succeeded", outcome="3 tasks")
    finish_run(run=second, state="failed", outcome="twice")
    assert (Run.objects.get().state, Run.objects.get().outcome) == ("succeeded", "3 tasks")


RACE = """
import datetime, os, threading
import django
django.setup()
from django.db import connection
from jobs.schedule import REPORT_USER_TASKS
from jobs.services import claim_run

THREADS, SLOTS = 8, 25
start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
barrier = threading.Barrier(THREADS)
won = [0] * SLOTS

def race(number):
    for index in range(SLOTS):
        slot = start + index * datetime.timedelta(minutes=1)
        barrier.wait()
        if claim_run(job=REPORT_USER_TASKS, slot=slot, task_id=f"{os.getpid()} {number}") is not None:
            won[index] += 1
    connection.close()

threads = [threading.Thread(target=race, args=(number,)) for number in range(THREADS)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(set(won)))
"""

MAKE_DEAD = """
import datetime
import django
django.setup()
from jobs.models import Run
Run.objects.update(started_at=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
"""


def test_eight_at_once_claim_and_take_over_each_slot_once(tmp_path):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
    }

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environment, check=True, timeout=60, text=True, stdout=subprocess.PIPE
        ).stdout

    python("manage.py", "migrate", "--verbosity", "0")
    assert python("-c", RACE) == "[1]\n"
    assert python("-c", RACE) == "[0]\n"
    python("-c", MAKE_DEAD)
    assert python("-c", RACE) == "[1]\n"


@pytest.mark.parametrize("error", [ValueError("secret"), ProgrammingError("no such column"), IntegrityError("x")])
def test_job_that_fails_is_recorded_without_its_error_and_is_over(error, caplog):
    work = Work(error)

    run(work)
    run(work)

    row = Run.objects.get()
    assert (work.calls, row.state, row.outcome) == (1, "failed", "It failed; the worker's log says why.")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.getMessage(), record.exc_info[1]) == ("job failed", error)


def test_job_that_takes_too_long_is_recorded_as_that():
    run(Work(SoftTimeLimitExceeded()))
    assert (Run.objects.get().state, Run.objects.get().outcome) == ("failed", "It took longer than 8 s.")


DEADLOCK = Error("40001", "[40001] [Microsoft][SQL Server]chosen as the deadlock victim. (1205) (SQLExecDirectW)")


@pytest.mark.parametrize("error", [OperationalError("away"), InterfaceError("closed"), DEADLOCK])
def test_database_that_goes_away_in_mid_job_ends_nothing(error):
    with pytest.raises(DatabaseUnavailable) as caught:
        run(Work(error))
    assert caught.value.__cause__ is error
    assert Run.objects.get().state == "running"

    run(Work())
    assert (Run.objects.get().state, Run.objects.get().attempts) == ("succeeded", 2)


@pytest.mark.parametrize("error", [OperationalError("away"), SoftTimeLimitExceeded()])
@pytest.mark.parametrize("step", ["claim_run", "finish_run"])
def test_database_that_is_away_before_or_after_the_job(monkeypatch, step, error):
    def away(**arguments: object) -> None:
        raise error

    monkeypatch.setattr(services, step, away)
    with pytest.raises(DatabaseUnavailable):
        run(Work())


@pytest.mark.parametrize("error", [OperationalError("away"), ProgrammingError("defect"), SoftTimeLimitExceeded()])
@pytest.mark.parametrize("step", ["fail_abandoned_runs", "delete_old_runs"])
def test_what_goes_wrong_after_the_job_takes_nothing_from_it(monkeypatch, caplog, step, error):
    def fails(**arguments: object) -> None:
        raise error

    monkeypatch.setattr(services, step, fails)
    with caplog.at_level(logging.INFO, logger="jobs.run"):
        run(Work())

    assert Run.objects.get().state == "succeeded"
    assert [record.getMessage() for record in caplog.records] == ["job", "housekeeping failed"]


def test_defect_around_the_job_is_not_taken_for_an_outage(monkeypatch):
    def defect(**arguments: object) -> None:
        raise ProgrammingError

    monkeypatch.setattr(services, "claim_run", defect)
    with pytest.raises(ProgrammingError):
        run(Work())


def test_abandoned_runs_are_failed_when_nothing_can_take_them_up_any_more():
    edge = LIMIT + JOB.expires * SECOND
    running = {"state": "running", "outcome": ""}
    make_run(slot=SLOT, started_at=SLOT - SECOND, **running)
    make_run(slot=SLOT + MINUTE, started_at=SLOT, **running)
    make_run(slot=SLOT + 2 * MINUTE, started_at=SLOT - SECOND)
    make_run(job="another", started_at=SLOT - SECOND, **running)

    with time_machine.travel(SLOT + edge, tick=False):
        fail_abandoned_runs(job=JOB)

    failed = Run.objects.get(state="failed")
    assert (failed.slot, failed.finished_at) == (SLOT, SLOT + edge)
    assert failed.outcome == "The worker was lost, and no other one came in time."
    assert Run.objects.filter(state="running").count() == 2


class TestOldRuns:
    NOW = SLOT + datetime.timedelta(days=30)

    @pytest.fixture(autouse=True)
    def thirty_days_later(self, settings):
        settings.RUNS_KEPT_DAYS = 30
        with time_machine.travel(self.NOW, tick=False):
            yield

    def slots(self) -> list[datetime.datetime]:
        return list(Run.objects.order_by("slot").values_list("slot", flat=True))

    def test_are_deleted_when_they_are_older_than_the_setting_says(self):
        make_run(slot=SLOT - MINUTE)
        make_run(slot=SLOT - MINUTE, job="no longer in the schedule")
        make_run(slot=SLOT)
        delete_old_runs()
        assert self.slots() == [SLOT]

    def test_are_deleted_a_few_at_a_time_and_the_oldest_first(self, monkeypatch):
        monkeypatch.setattr(services, "OLD_RUNS_AT_ONCE", 2)
        for minute in (1, 3, 2):
            make_run(slot=SLOT - minute * MINUTE)
        delete_old_runs()
        assert self.slots() == [SLOT - MINUTE]

    def test_are_deleted_by_every_run(self):
        make_run(slot=SLOT - MINUTE)
        run(Work(), slot=self.NOW)
        assert self.slots() == [self.NOW]
