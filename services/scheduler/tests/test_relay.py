"""The relays' leadership and its takeover, and the isolation of failing steps."""

import json
import logging
import os
import signal
import subprocess
import sys

import pytest
from django.db import OperationalError

from jobs import relay
from jobs.dispatch import DispatchRuns
from jobs.models import RelayLease
from jobs.relay import LEASE_SECONDS, Leadership, Relay, Watch, make_steps
from tests.conftest import ROOT

pytestmark = pytest.mark.django_db(transaction=True)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_watch_counts_from_when_a_state_was_first_seen(clock):
    watch = Watch(clock)
    seconds = []
    for now, state in ((0, "a"), (5, "a"), (6, "b"), (9, "b"), (10, "a")):
        clock.now = now
        seconds.append(watch.unchanged_for("thing", state))
    assert seconds == [0, 5, 0, 3, 0]


def test_watch_forgets(clock):
    watch = Watch(clock)
    watch.unchanged_for("thing", "a")
    watch.unchanged_for("other", "a")
    watch.forget_all_but(["other"])
    clock.now = 5
    assert (watch.unchanged_for("thing", "a"), watch.unchanged_for("other", "a")) == (0, 5)


class TestLeadership:
    @pytest.fixture
    def two(self, clock):
        return Leadership(watch=Watch(clock)), Leadership(watch=Watch(clock))

    def test_is_the_first_ones_for_as_long_as_it_renews(self, two, clock):
        first, second = two
        for number in range(5):
            clock.now = number * (LEASE_SECONDS - 1)
            assert (first.hold(), second.hold()) == (True, False)

    def test_is_the_seconds_when_the_first_has_stopped(self, two, clock):
        first, second = two
        assert (first.hold(), second.hold()) == (True, False)
        clock.now = LEASE_SECONDS
        assert (second.hold(), first.hold()) == (True, False)

    def test_is_free_at_once_where_it_was_given_up(self, two):
        first, second = two
        assert first.hold()
        first.give_up()
        assert second.hold()

    def test_no_clock_on_a_wall_decides(self, two):
        first, second = two
        assert (first.hold(), second.hold()) == (True, False)
        RelayLease.objects.update(seen_at="2000-01-01T00:00:00Z")
        assert not second.hold()

    def test_of_two_that_take_over_one_gets_it(self, clock, monkeypatch):
        first, second, third = (Leadership(watch=Watch(clock)) for _ in range(3))
        assert (first.hold(), second.hold(), third.hold()) == (True, False, False)
        clock.now = LEASE_SECONDS
        real = second._watch.unchanged_for

        def third_is_faster(*arguments: object) -> float:
            assert third.hold()
            return real(*arguments)

        monkeypatch.setattr(second._watch, "unchanged_for", third_is_faster)
        assert not second.hold()


class Rounds:
    """A step that counts its rounds, raises in the rounds of ``fails_in``, and stops the relay after the last one."""

    def __init__(self, rounds: int, *, fails_in: tuple[int, ...] = ()) -> None:
        self.done = 0
        self.relay: Relay | None = None
        self._rounds = rounds
        self._fails_in = fails_in

    def __call__(self) -> None:
        self.done += 1
        if self.done == self._rounds:
            self.relay.stop()
        if self.done in self._fails_in:
            raise OperationalError("no connection")


@pytest.fixture(autouse=True)
def pulse(monkeypatch, settings, tmp_path):
    """The file that is touched in each round; rounds follow without pauses."""
    monkeypatch.setattr(relay, "INTERVAL_SECONDS", 0)
    settings.RELAY_PULSE_FILE = tmp_path / "relay-pulse"
    return settings.RELAY_PULSE_FILE


def run(*steps: Rounds) -> None:
    process = Relay({f"step {number}": step for number, step in enumerate(steps)})
    for step in steps:
        step.relay = process
    process.run()


def test_each_step_in_each_round():
    steps = Rounds(3), Rounds(99)
    run(*steps)
    assert [step.done for step in steps] == [3, 3]


def test_failing_step_is_logged_when_it_begins_and_ends_and_harms_no_other(caplog):
    caplog.set_level(logging.INFO, logger="jobs.relay")
    steps = Rounds(99, fails_in=(2, 3, 4)), Rounds(6)
    run(*steps)
    assert [step.done for step in steps] == [6, 6]
    assert [(record.getMessage(), getattr(record, "step", None)) for record in caplog.records] == [
        ("relay leads", None),
        ("relay step failed", "step 0"),
        ("relay step works again", "step 0"),
    ]


def test_lease_that_cannot_be_renewed_ends_the_work_until_it_can(monkeypatch):
    class Unavailable:
        def __init__(self) -> None:
            self.calls = 0

        def hold(self) -> bool:
            self.calls += 1
            if self.calls in (2, 3):
                raise OperationalError("no connection")
            return True

        def give_up(self) -> None: ...

    step, leadership = Rounds(3), Unavailable()
    step.relay = Relay({"step": step}, leadership=leadership)
    step.relay.run()
    assert (step.done, leadership.calls) == (3, 5)


def test_pulse_is_touched_where_the_database_answers(pulse, monkeypatch):
    monkeypatch.setattr(Leadership, "hold", lambda self: Rounds(9, fails_in=(1,))())
    process = Relay({})
    process._try("lease", process._lead)
    assert not pulse.exists()

    monkeypatch.setattr(Leadership, "hold", lambda self: False)
    process._try("lease", process._lead)
    assert pulse.exists()


def test_work_goes_on_where_the_pulse_cannot_be_touched(settings, tmp_path, caplog):
    settings.RELAY_PULSE_FILE = tmp_path / "missing" / "relay-pulse"
    step = Rounds(2)
    run(step)
    assert (step.done, [record for record in caplog.records if record.levelname == "ERROR"]) == (2, [])


def test_lease_is_given_up_at_the_end():
    run(Rounds(1))
    assert RelayLease.objects.get().holder == ""


def test_steps_of_the_settings(settings):
    assert list(make_steps()) == settings.RELAY_STEPS
    assert isinstance(make_steps()["jobs.dispatch.DispatchRuns"], DispatchRuns)


def test_standby_says_so(caplog):
    caplog.set_level(logging.INFO, logger="jobs.relay")
    assert Leadership().hold()
    process = Relay({})
    process._try("lease", process._lead)
    process._try("lease", process._lead)
    assert [record.getMessage() for record in caplog.records] == ["relay stands by"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_ends_when_it_is_told_to(tmp_path, number):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "PYTHONUNBUFFERED": "1",
        "STATE_DIR": str(tmp_path),
    }
    command = [sys.executable, "manage.py"]
    subprocess.run([*command, "migrate", "--verbosity", "0"], cwd=ROOT, env=environment, check=True)
    with subprocess.Popen([*command, "relay"], cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["message"] == "relay leads"
            process.send_signal(number)
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()
