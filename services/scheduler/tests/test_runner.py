"""The runner, which controls the deadline, lease, stop and outcome of a run, regardless of the job's code."""

import logging
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from django.db import Error, IntegrityError, InterfaceError, OperationalError, ProgrammingError

from jobs import runner, services
from jobs.job import Job, Progress, Work
from jobs.models import Run
from jobs.runner import LEASE_SECONDS, PIECE_SECONDS, RENEW_SECONDS, DatabaseUnavailable, continue_run, run_slot
from servicekit.database.url import QUERY_TIMEOUT_SECONDS
from servicekit.process.context import request_id, set_request_id
from tests.conftest import MINUTE, ROOT, SLOT, make_run

pytestmark = pytest.mark.django_db(transaction=True)


class Clock:
    """Replacement for time.monotonic, which Counting advances with each piece."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """A job that counts to ten in pieces of 1.1 s, and calls ``at`` with each number."""

    def __init__(
        self, clock: Clock, *, at: Callable[[int], None] = lambda number: None, resumable: bool = True
    ) -> None:
        self.started_from: list[str] = []
        self.counted: list[int] = []
        self.closed = False
        self._clock = clock
        self._at = at
        self._resumable = resumable

    def __call__(self, checkpoint: str) -> Work:
        self.started_from.append(checkpoint)
        try:
            for number in range(int(checkpoint or "0") + 1, 11):
                self._clock.now += 1.1
                self._at(number)
                self.counted.append(number)
                yield Progress(done=number, total=10, checkpoint=str(number) if self._resumable else "")
            return "10 numbers"
        finally:
            self.closed = True


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(runner.time, "monotonic", clock)
    return clock


def job_of(work: Callable[[str], Work], *, limit_seconds: float = 60) -> Job:
    return Job(name="count", description="", cron="* * * * *", work=work, limit_seconds=limit_seconds)


def run(work: Callable[[str], Work], *, stopping: Callable[[], bool] = lambda: False, **job: float) -> Run:
    run_slot(job=job_of(work, **job), slot=SLOT, request_id="1" * 32, stopping=stopping)
    return Run.objects.get(slot=SLOT)


def resume(work: Callable[[str], Work], before: Run) -> Run:
    continue_run(job=job_of(work), run_id=before.id, holder=before.holder, stopping=lambda: False)
    return Run.objects.get(id=before.id)


def raises(error: BaseException) -> Callable[[int], None]:
    def at(number: int) -> None:
        raise error

    return at


def test_run_is_recorded_and_logged(clock, caplog):
    caplog.set_level(logging.INFO, logger="jobs")
    row = run(Counting(clock))
    assert (row.state, row.outcome, row.done, row.total, row.spent_ms) == ("succeeded", "10 numbers", 10, 10, 11_000)
    (record,) = caplog.records
    assert (record.getMessage(), record.job, record.slot, record.state, record.attempts, record.duration_ms) == (
        "job",
        "count",
        "2026-01-31T09:30:00.000000Z",
        "succeeded",
        1,
        11_000,
    )


def test_slot_that_was_claimed_is_passed_over(clock, caplog):
    caplog.set_level(logging.INFO, logger="jobs")
    work = Counting(clock)
    run(work)
    run(work)
    assert work.started_from == [""]
    assert [record.getMessage() for record in caplog.records] == ["job"]


def test_short_run_takes_three_statements_beside_its_work(django_assert_num_queries):
    def nothing(checkpoint: str) -> Work:
        yield Progress()
        return ""

    # The claim between BEGIN and COMMIT, the search for missed slots, the final update.
    with django_assert_num_queries(5):
        run_slot(job=job_of(nothing), slot=SLOT, request_id="", stopping=lambda: False)


def test_slots_before_it_are_recorded_as_missed(clock):
    make_run(job="count", slot=SLOT - 3 * MINUTE)
    run(Counting(clock))
    assert Run.objects.filter(state="missed").count() == 2


class TestDeadline:
    def test_is_looked_at_between_pieces(self, clock):
        work = Counting(clock)
        row = run(work, limit_seconds=3)
        assert (row.state, row.outcome) == ("failed", "It took longer than 3 s.")
        assert work.counted == [1, 2, 3]
        assert work.closed

    def test_is_one_outcome(self, clock):
        work = Counting(clock)
        run(work, limit_seconds=3)
        row = run(work, limit_seconds=3)
        assert (row.attempts, work.started_from) == (1, [""])

    def test_counts_earlier_stretches_of_work(self, clock):
        make_run(job="count", state="running", lease=0, checkpoint="5", spent_ms=59_000)
        row = resume(Counting(clock), Run.objects.get())
        assert (row.state, row.done) == ("failed", 6)


class TestLease:
    def test_is_renewed_between_pieces_and_shows_progress(self, clock):
        seen = []
        run(Counting(clock, at=lambda number: seen.append(Run.objects.values_list("lease", "done").get())))
        assert seen == [(1, 0), *((number, number - 1) for number in range(2, 11))]

    def test_is_not_renewed_by_each_small_piece(self, clock, django_assert_num_queries):
        def small(checkpoint: str) -> Work:
            for number in range(1000):
                yield Progress(done=number)
            return ""

        with django_assert_num_queries(5):
            run_slot(job=job_of(small), slot=SLOT, request_id="", stopping=lambda: False)

    def test_that_was_taken_over_ends_the_work(self, clock, caplog):
        caplog.set_level(logging.INFO, logger="jobs")

        def lose_it(number: int) -> None:
            if number == 3:
                row = Run.objects.get()
                services.claim_run(run_id=row.id, holder=row.holder)

        work = Counting(clock, at=lose_it)
        row = run(work)
        assert (row.state, row.attempts) == ("running", 2)
        assert work.counted == [1, 2, 3]
        assert [record.getMessage() for record in caplog.records] == ["job interrupted"]

    def test_times_fit_together(self):
        """A statement times out before its process is killed, and that is before another process takes over the run."""
        assert RENEW_SECONDS < QUERY_TIMEOUT_SECONDS < PIECE_SECONDS < LEASE_SECONDS

    def test_alarm_stands_while_work_is_done_and_not_after(self, clock, monkeypatch):
        alarms = []
        monkeypatch.setattr(signal, "alarm", alarms.append)
        run(Counting(clock))
        assert alarms == [PIECE_SECONDS] * 11 + [0]

    @pytest.mark.parametrize("frozen", [False, True])
    def test_process_whose_piece_outlasts_it_is_ended_by_the_kernel(self, frozen):
        """A frozen process is also killed, before it can do anything after it resumes."""
        program = (
            "import signal, sys, time\n"
            "from jobs import runner\n"
            "runner.PIECE_SECONDS = 1\n"
            "with runner._ended_before_the_lease():\n"
            "    print('started', flush=True)\n"
            "    while True:\n"
            "        try: time.sleep(60)\n"
            "        except BaseException: print('interrupted', flush=True)\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", f"import django; django.setup()\n{program}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        if frozen:
            process.send_signal(signal.SIGSTOP)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=2)
            process.send_signal(signal.SIGCONT)
        output, _ = process.communicate(timeout=10)
        assert (output, process.returncode) == ("", -signal.SIGALRM)


class TestHandingBack:
    def test_when_the_worker_stops(self, clock, caplog):
        caplog.set_level(logging.INFO, logger="jobs")
        work = Counting(clock)
        row = run(work, stopping=lambda: len(work.counted) == 4)
        assert (row.state, row.lease, row.checkpoint, row.done, row.spent_ms) == ("running", 0, "4", 4, 4_400)
        assert [record.getMessage() for record in caplog.records] == ["job interrupted"]

        row = resume(work, row)
        assert work.counted == list(range(1, 11))
        assert (row.state, row.attempts, row.spent_ms) == ("succeeded", 1, 11_000)

    def test_not_of_work_that_could_only_start_again(self, clock):
        row = run(Counting(clock, resumable=False), stopping=lambda: True)
        assert (row.state, row.done) == ("succeeded", 10)

    def test_when_its_turn_is_over(self, clock, monkeypatch):
        monkeypatch.setattr(runner, "TURN_SECONDS", 5)
        assert run(Counting(clock)).checkpoint == "5"

    def test_log_lines_carry_the_id_of_who_asked(self, clock):
        before = make_run(job="count", state="queued", requested_by=7, request_id="7" * 32)
        seen = []
        try:
            resume(Counting(clock, at=lambda number: seen.append(request_id())), before)
        finally:
            set_request_id("")
        assert set(seen) == {"7" * 32}


@pytest.mark.parametrize("error", [ValueError("secret"), ProgrammingError("no such column"), IntegrityError("x")])
def test_job_that_fails_is_recorded_without_its_error_and_is_over(clock, error, caplog):
    work = Counting(clock, at=raises(error))
    run(work)
    row = run(work)
    assert (work.started_from, row.state, row.outcome) == ([""], "failed", "It failed; see the worker's log.")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.getMessage(), record.exc_info[1]) == ("job failed", error)


DEADLOCK = Error("40001", "[40001] [Microsoft][SQL Server]chosen as the deadlock victim. (1205) (SQLExecDirectW)")


@pytest.mark.parametrize("error", [OperationalError("no connection"), InterfaceError("closed"), DEADLOCK])
def test_database_that_is_lost_in_mid_job_leaves_the_run_to_be_continued(clock, error):
    def lose(number: int) -> None:
        if number == 3:
            raise error

    with pytest.raises(DatabaseUnavailable) as caught:
        run(Counting(clock, at=lose))
    assert caught.value.__cause__ is error
    row = Run.objects.get()
    assert (row.state, row.checkpoint) == ("running", "2")

    row = resume(Counting(clock), row)
    assert (row.state, row.attempts) == ("succeeded", 2)


@pytest.mark.parametrize("step", ["claim_slot", "record_missed_slots", "finish_run"])
def test_database_that_is_unavailable_around_the_job(clock, monkeypatch, step):
    monkeypatch.setattr(runner, step, lambda **arguments: raises(OperationalError("no connection"))(0))
    with pytest.raises(DatabaseUnavailable):
        run(Counting(clock))


def test_defect_around_the_job_is_not_taken_for_an_outage(clock, monkeypatch):
    monkeypatch.setattr(runner, "claim_slot", lambda **arguments: raises(ProgrammingError())(0))
    with pytest.raises(ProgrammingError):
        run(Counting(clock))
