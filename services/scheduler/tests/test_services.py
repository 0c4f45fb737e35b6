"""Exactly one run per job and slot, one at a time: claims, leases, and the rows that record them."""

import datetime
import os
import subprocess
import sys

import pytest
import time_machine

from jobs import services
from jobs.job import Progress
from jobs.models import Run
from jobs.schedule import REPORT_USER_TASKS as JOB
from jobs.services import (
    RunActive,
    claim_run,
    claim_slot,
    delete_old_runs,
    finish_run,
    give_up,
    hand_back,
    record_missed_slots,
    renew_lease,
    request_run,
)
from tests.conftest import MINUTE, ROOT, SECOND, SLOT, make_run

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = datetime.timedelta(hours=1)


def claim(slot: datetime.datetime = SLOT) -> Run | None:
    return claim_slot(job=JOB, slot=slot, request_id="1" * 32)


def finish(run: Run, state: str = "succeeded") -> None:
    finish_run(run=run, state=state, outcome="3 of 3 tasks", progress=Progress(done=3, total=3), spent_ms=20)


def request() -> Run:
    return request_run(job=JOB, user_id=7, request_id="2" * 32)


def rows() -> list[tuple[datetime.datetime, str]]:
    return list(Run.objects.order_by("slot").values_list("slot", "state"))


class TestSlots:
    @time_machine.travel(SLOT + SECOND, tick=False)
    def test_life_of_a_run(self):
        finish(claim())
        (row,) = Run.objects.values()
        assert len(row.pop("holder")) == 32
        assert {name: value for name, value in row.items() if name != "id"} == {
            "job": "report-user-tasks",
            "slot": SLOT,
            "requested_by": 0,
            "state": "succeeded",
            "turn": 1769851800000000,
            "started_at": SLOT + SECOND,
            "finished_at": SLOT + SECOND,
            "outcome": "3 of 3 tasks",
            "attempts": 1,
            "lease": 1,
            "losses": 0,
            "done": 3,
            "total": 3,
            "spent_ms": 20,
            "checkpoint": "",
            "request_id": "1" * 32,
        }

    def test_takes_one_statement_beside_begin_and_commit(self, django_assert_num_queries):
        with django_assert_num_queries(3):
            claim()

    @pytest.mark.parametrize("state", ["queued", "running", "succeeded", "failed"])
    def test_claimed_slot_is_not_claimed_again(self, state):
        make_run(state=state)
        assert claim() is None
        assert rows() == [(SLOT, state)]

    def test_slot_waits_while_another_run_of_the_job_goes_on(self):
        make_run(slot=SLOT - MINUTE, state="running")
        assert claim() is None
        assert rows() == [(SLOT - MINUTE, "running"), (SLOT, "queued")]

    def test_slot_is_missed_where_another_one_waits_already(self):
        make_run(slot=SLOT - 2 * MINUTE, state="running")
        make_run(slot=SLOT - MINUTE, state="queued")
        assert claim() is None
        assert rows()[-1] == (SLOT, "missed")
        assert Run.objects.get(state="missed").outcome == "Other runs of the job took too long."

    def test_runs_of_other_jobs_are_not_in_the_way(self):
        make_run(job="another", state="running")
        assert claim() is not None

    def test_slot_that_was_recorded_as_missed_may_still_run(self):
        make_run(state="missed")
        assert claim().attempts == 1
        assert rows() == [(SLOT, "running")]

    def test_slot_that_was_recorded_as_missed_stays_so_while_another_run_goes_on(self):
        make_run(slot=SLOT - MINUTE, state="running")
        make_run(state="missed")
        assert claim() is None
        assert rows() == [(SLOT - MINUTE, "running"), (SLOT, "missed")]

    def test_slot_from_before_the_clock_was_set_back_runs_again_once(self):
        make_run(slot=SLOT, outcome="by the wrong clock")
        make_run(slot=SLOT - 2 * HOUR)
        finish(claim())
        assert claim() is None
        assert [run.outcome for run in Run.objects.filter(slot=SLOT)] == ["3 of 3 tasks"]

    @pytest.mark.parametrize(
        "values",
        [
            {"slot": SLOT - MINUTE},
            {"slot": SLOT - HOUR, "state": "missed"},
            {"slot": SLOT - HOUR, "requested_by": 7},
            {"slot": SLOT - HOUR, "job": "another"},
        ],
        ids=["late", "missed", "requested", "another job"],
    )
    def test_later_row_of_an_earlier_slot_does_not_mean_that_the_clock_was_set_back(self, values):
        make_run(slot=SLOT)
        make_run(**values)
        assert claim() is None


class TestRequests:
    @time_machine.travel(SLOT + SECOND, tick=False)
    def test_run_is_queued_for_who_asked(self):
        run = Run.objects.get(id=request().id)
        assert (run.state, run.slot, run.requested_by, run.attempts) == ("queued", SLOT + SECOND, 7, 0)
        assert run.request_id == "2" * 32

    @pytest.mark.parametrize("state", ["queued", "running"])
    def test_active_run_refuses_another(self, state):
        make_run(state=state)
        with pytest.raises(RunActive):
            request()

    def test_two_that_look_at_once_queue_one(self, monkeypatch):
        make_run(state="queued")
        monkeypatch.setattr(services, "ACTIVE", ())
        with pytest.raises(RunActive):
            request()
        assert Run.objects.count() == 1

    def test_runs_that_are_over_do_not_refuse(self):
        for number, state in enumerate(("succeeded", "failed", "missed")):
            make_run(slot=SLOT + number * MINUTE, state=state)
        assert request().state == "queued"


class TestContinuing:
    def test_queued_run_begins(self):
        queued = request()
        with time_machine.travel(queued.slot + SECOND, tick=False):
            run = claim_run(run_id=queued.id, holder="")
        assert (run.state, run.attempts, run.losses, run.started_at) == ("running", 1, 0, queued.slot + SECOND)
        assert Run.objects.get().holder == run.holder != ""

    def test_run_whose_worker_was_lost_is_another_attempt(self):
        first = claim()
        second = claim_run(run_id=first.id, holder=first.holder)
        assert (second.attempts, second.losses, second.started_at) == (2, 1, first.started_at)

    def test_run_that_was_handed_back_is_the_same_attempt(self):
        first = claim()
        hand_back(run=first, progress=Progress(done=5, checkpoint="5"), spent_ms=100)
        second = claim_run(run_id=first.id, holder=first.holder)
        assert (second.attempts, second.losses, second.checkpoint, second.spent_ms) == (1, 0, "5", 100)

    def test_one_of_two_messages_gets_it(self):
        queued = request()
        assert claim_run(run_id=queued.id, holder="") is not None
        assert claim_run(run_id=queued.id, holder="") is None

    def test_run_that_is_over_is_left(self):
        run = claim()
        finish(run)
        assert claim_run(run_id=run.id, holder=run.holder) is None

    def test_queued_run_waits_for_the_running_one(self):
        queued = request()
        assert claim() is not None
        assert claim_run(run_id=queued.id, holder="") is None
        assert Run.objects.get(id=queued.id).state == "queued"

    def test_renewal_between_look_and_change_keeps_the_run(self, monkeypatch):
        run = claim()
        real = services._name

        def renew_first() -> str:
            assert renew_lease(run=run, progress=Progress(done=1), spent_ms=1)
            return real()

        monkeypatch.setattr(services, "_name", renew_first)
        assert claim_run(run_id=run.id, holder=run.holder) is None

    def test_attempt_that_was_taken_over_changes_nothing(self):
        first = claim()
        second = claim_run(run_id=first.id, holder=first.holder)

        assert not renew_lease(run=first, progress=Progress(done=9), spent_ms=9)
        finish(first, "failed")
        hand_back(run=first, progress=Progress(done=9), spent_ms=9)
        row = Run.objects.get()
        assert (row.state, row.done, row.lease) == ("running", 0, 1)

        finish(second)
        finish(second, "failed")
        assert Run.objects.get().state == "succeeded"

    def test_renewal_records_progress_and_forgets_losses_where_there_is_a_new_checkpoint(self):
        first = claim()
        second = claim_run(run_id=first.id, holder=first.holder)
        assert renew_lease(run=second, progress=Progress(done=1, total=9), spent_ms=10)
        assert Run.objects.values_list("lease", "done", "total", "spent_ms", "losses").get() == (2, 1, 9, 10, 1)
        assert renew_lease(run=second, progress=Progress(done=2, total=9, checkpoint="2"), spent_ms=20)
        assert Run.objects.values_list("lease", "checkpoint", "losses").get() == (3, "2", 0)


@pytest.mark.parametrize("state", ["queued", "running"])
def test_run_that_is_given_up_makes_room_for_the_next(state):
    give_up(run=make_run(state=state), state="failed", outcome="why")
    assert Run.objects.values_list("state", "outcome").get() == ("failed", "why")
    make_run(state=state, slot=SLOT + MINUTE)


def test_run_that_was_renewed_since_is_not_given_up():
    seen = make_run(state="running")
    renew_lease(run=Run.objects.get(), progress=Progress(), spent_ms=0)
    give_up(run=seen, state="failed", outcome="why")
    assert Run.objects.get().state == "running"


class TestMissedSlots:
    def record(self, slot: datetime.datetime) -> list[str]:
        """Run the slot and return the slots recorded as missed."""
        record_missed_slots(job=JOB, run=claim(slot))
        missed = Run.objects.filter(state="missed").order_by("slot")
        return [f"{run.slot:%H:%M}" for run in missed]

    def test_between_the_run_before_and_this_one(self, caplog):
        make_run(slot=SLOT)
        assert self.record(SLOT + 3 * MINUTE) == ["09:31", "09:32"]
        (record,) = caplog.records
        assert (record.getMessage(), record.job, record.recorded) == ("slots missed", "report-user-tasks", 2)

    @pytest.mark.parametrize("earlier", [[], [0], [-1, 0]])
    def test_none_without_a_gap_or_before_the_first_run(self, earlier, caplog):
        for number in earlier:
            make_run(slot=SLOT + number * MINUTE)
        assert self.record(SLOT + MINUTE) == []
        assert not caplog.records

    def test_are_found_with_one_statement(self, django_assert_num_queries):
        make_run(slot=SLOT)
        run = claim(SLOT + MINUTE)
        with django_assert_num_queries(1):
            record_missed_slots(job=JOB, run=run)

    def test_of_the_last_hour_at_most(self):
        make_run(slot=SLOT - 5 * HOUR)
        missed = self.record(SLOT)
        assert (len(missed), missed[0], missed[-1]) == (60, "08:30", "09:29")

    def test_requested_run_fills_no_gap(self):
        make_run(slot=SLOT)
        make_run(slot=SLOT + MINUTE + SECOND, requested_by=7)
        assert self.record(SLOT + 2 * MINUTE) == ["09:31"]


@pytest.mark.parametrize("contest", ["claim", "take_over", "request"])
def test_one_of_eight_at_once_succeeds(tmp_path, contest):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "PYTHONPATH": str(ROOT),
    }

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environment, check=True, timeout=60, text=True, stdout=subprocess.PIPE
        ).stdout

    python("manage.py", "migrate", "--verbosity", "0")
    assert python("tests/programs/race.py", contest) == "[1]\n"


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
        assert delete_old_runs() == 2
        assert self.slots() == [SLOT]

    def test_are_deleted_a_few_at_a_time_and_the_oldest_first(self, monkeypatch):
        monkeypatch.setattr(services, "OLD_RUNS_AT_ONCE", 2)
        for minute in (1, 3, 2):
            make_run(slot=SLOT - minute * MINUTE)
        assert delete_old_runs() == 2
        assert self.slots() == [SLOT - MINUTE]

    @pytest.mark.parametrize("state", ["queued", "running"])
    def test_are_left_while_they_are_active(self, state):
        make_run(slot=SLOT - MINUTE, state=state)
        assert delete_old_runs() == 0

    def test_take_one_statement_where_there_are_none(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            assert delete_old_runs() == 0
