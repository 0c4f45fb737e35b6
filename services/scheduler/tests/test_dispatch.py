"""The runs that the relay starts, continues or gives up."""

import logging

import pytest
import time_machine
from kombu.exceptions import OperationalError

from jobs import dispatch
from jobs.dispatch import MAXIMUM_LOSSES, RESEND_SECONDS, DispatchRuns, GiveUp, Send, decide
from jobs.job import Progress
from jobs.models import Run
from jobs.runner import LEASE_SECONDS
from jobs.schedule import JOBS
from jobs.services import NOT_TAKEN, claim_run, renew_lease
from servicekit.process.context import request_id
from tests.conftest import MINUTE, SECOND, SLOT, make_run, note_request

REPORT = "report-user-tasks"


def run(state: str, **values: object) -> Run:
    return Run(**{"id": 1, "job": REPORT, "slot": SLOT, "state": state, "lease": int(state == "running"), **values})


def decided(*runs: Run, unchanged_for: float = 0, after=0 * SECOND) -> list[GiveUp | Send]:
    return decide(runs=list(runs), jobs=JOBS, unchanged_for=lambda run: unchanged_for, now=SLOT + after)


def test_queued_run_is_started():
    queued = run("queued", requested_by=7)
    assert decided(queued) == [Send(queued)]


def test_queued_run_waits_for_the_running_one_of_its_job():
    assert decided(run("queued", id=2), run("running")) == []


def test_run_of_another_job_is_not_waited_for():
    queued = run("queued", requested_by=7)
    assert decided(queued, run("running", job="delete-old-runs")) == [Send(queued)]


@pytest.mark.parametrize("seconds", [56, -56])
def test_queued_slot_expires_as_its_tick_would(seconds):
    """So does a slot in the future, from before the clock was set back."""
    queued = run("queued")
    assert decided(queued, after=seconds * SECOND) == [GiveUp(queued, "missed", NOT_TAKEN)]


def test_requested_run_does_not_expire():
    queued = run("queued", requested_by=7)
    assert decided(queued, after=60 * MINUTE) == [Send(queued)]


def test_run_that_goes_on_is_left_alone():
    assert decided(run("running"), unchanged_for=LEASE_SECONDS - 0.1, after=60 * MINUTE) == []


def test_run_whose_lease_stands_still_is_continued():
    running = run("running")
    assert decided(running, unchanged_for=LEASE_SECONDS) == [Send(running)]


def test_run_that_was_handed_back_is_continued_at_once():
    running = run("running", lease=0)
    assert decided(running) == [Send(running)]


def test_run_that_takes_its_worker_down_every_time_is_given_up():
    running = run("running", losses=MAXIMUM_LOSSES - 1)
    assert decided(running, unchanged_for=LEASE_SECONDS) == [GiveUp(running, "failed", "Its worker was lost 3 times.")]


@pytest.mark.parametrize("state", ["queued", "running"])
def test_run_of_a_job_that_is_gone_is_given_up(state):
    orphan = run(state, job="removed")
    assert decided(orphan) == [GiveUp(orphan, "failed", "The job no longer exists.")]


class Broker:
    def __init__(self) -> None:
        self.sent: list[dict[str, object]] = []
        self.error: Exception | None = None

    def __call__(self, *, kwargs: dict[str, object], expires: float, retry: bool) -> None:
        if self.error:
            raise self.error
        self.sent.append(kwargs)


@pytest.mark.django_db(transaction=True)
class TestStep:
    @pytest.fixture
    def clock(self, monkeypatch):
        """The monotonic time in seconds, which the test sets."""
        clock = [0.0]
        monkeypatch.setattr(dispatch.time, "monotonic", lambda: clock[0])
        return clock

    @pytest.fixture
    def step(self, clock):
        step = DispatchRuns()
        step._leases._clock = lambda: clock[0]
        return step

    @pytest.fixture
    def broker(self, monkeypatch):
        broker = Broker()
        monkeypatch.setattr(dispatch.continue_, "apply_async", broker)
        return broker

    def test_sends_a_queued_run_once_and_again_if_it_does_not_start(self, step, broker, clock):
        queued = make_run(state="queued", requested_by=7)
        for seconds in (0, 1, RESEND_SECONDS - 0.1, RESEND_SECONDS):
            clock[0] = seconds
            step()
        assert broker.sent == [{"job": REPORT, "run_id": queued.id, "holder": ""}] * 2

    def test_line_of_a_run_that_is_sent_has_the_id_of_its_request(self, step, broker, caplog):
        before = request_id()
        caplog.handler.addFilter(note_request)
        caplog.set_level(logging.INFO, logger="jobs.dispatch")
        queued = make_run(state="queued", requested_by=7, request_id="a" * 32)
        step()
        assert [(record.getMessage(), record.run, record.of_request) for record in caplog.records] == [
            ("run sent", queued.id, "a" * 32)
        ]
        assert request_id() == before

    def test_takes_one_statement_where_nothing_waits(self, step, broker, django_assert_num_queries):
        make_run()
        with django_assert_num_queries(1):
            step()
        assert broker.sent == []

    def test_sends_it_in_the_next_round_where_the_broker_is_unavailable(self, step, broker):
        make_run(state="queued", requested_by=7)
        broker.error = OperationalError("refused")
        with pytest.raises(OperationalError):
            step()
        broker.error = None
        step()
        assert len(broker.sent) == 1

    def test_run_that_is_renewed_is_never_sent(self, step, broker, clock):
        running = make_run(state="running")
        for number in range(10):
            clock[0] = number * (LEASE_SECONDS - 1)
            step()
            assert renew_lease(run=running, progress=Progress(), spent_ms=0)
        assert broker.sent == []

    def test_run_whose_worker_was_lost_is_sent_for_each_holder(self, step, broker, clock):
        running = make_run(state="running")
        step()
        clock[0] = LEASE_SECONDS
        step()
        again = claim_run(run_id=running.id, holder=running.holder)
        step()
        clock[0] = 2 * LEASE_SECONDS
        step()
        assert [sent["holder"] for sent in broker.sent] == [running.holder, again.holder]

    def test_slot_that_expired_is_missed(self, step, broker):
        make_run(state="queued")
        with time_machine.travel(SLOT + MINUTE, tick=False):
            step()
        assert Run.objects.values_list("state", "outcome").get() == ("missed", NOT_TAKEN)
        assert broker.sent == []

    def test_forgets_runs_that_are_over(self, step, broker):
        make_run(state="running", lease=0)
        step()
        Run.objects.update(state="succeeded")
        step()
        assert (step._sent, step._leases._seen) == ({}, {})
