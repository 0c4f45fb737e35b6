"""The ticks that beat sends, including when the clock changes or the broker fails."""

import datetime
import logging
import re

import pytest
import time_machine
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.utils.imports import symbol_by_name
from redis import ResponseError

from jobs.schedule import DELETE_OLD_RUNS, REPORT_USER_TASKS
from scheduler_service import beat as beat_module
from scheduler_service.beat import LONGEST_SLEEP_SECONDS, RETRY_SECONDS, SlotScheduler
from scheduler_service.celery import app
from tests.conftest import MINUTE, SECOND, SLOT

HOUR = datetime.timedelta(hours=1)
# Seven minutes past the hour.
BOTH_DUE = SLOT - 23 * MINUTE


class Broker:
    """A stand-in for the broker that records ticks, or raises ``error``."""

    def __init__(self) -> None:
        self.slots: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.error: Exception | None = None

    def __call__(self, *, kwargs: dict[str, str], task_id: str, **options: object) -> None:
        if self.error:
            raise self.error
        self.ids.append(task_id)
        self.slots.append((kwargs["job"], kwargs["slot"][11:16]))


@pytest.fixture
def broker(monkeypatch, settings, tmp_path):
    settings.BEAT_TICK_FILE = tmp_path / "beat-tick"
    broker = Broker()
    monkeypatch.setattr(beat_module.tick, "apply_async", broker)
    return broker


@pytest.fixture
def beat(broker):
    return SlotScheduler(app)


def tick_at(beat: SlotScheduler, *times: datetime.datetime) -> float:
    for time in times:
        with time_machine.travel(time, tick=False):
            pause = beat.tick()
    return pause


def test_celery_takes_it():
    assert symbol_by_name(app.Beat().scheduler_cls) is SlotScheduler


def test_one_tick_a_minute(beat, broker):
    pause = tick_at(beat, SLOT, SLOT + SECOND, SLOT + 59 * SECOND)
    assert (broker.slots, pause) == ([("report-user-tasks", "09:30")], 1)
    tick_at(beat, SLOT + MINUTE)
    assert [slot for _, slot in broker.slots] == ["09:30", "09:31"]


def test_it_sleeps_no_longer_than_a_changed_clock_may_go_unnoticed(beat):
    assert tick_at(beat, SLOT) == LONGEST_SLEEP_SECONDS <= 10


def test_jobs_that_are_due(beat, broker):
    tick_at(beat, BOTH_DUE)
    assert broker.slots == [(REPORT_USER_TASKS.name, "09:07"), (DELETE_OLD_RUNS.name, "09:07")]


@pytest.mark.parametrize("jump", [-2 * HOUR, 2 * HOUR, -MINUTE, 150 * SECOND])
def test_after_the_clock_was_set_it_goes_on_at_once(beat, broker, jump):
    tick_at(beat, SLOT, SLOT + jump)
    assert broker.slots[-1] == ("report-user-tasks", f"{SLOT + jump:%H:%M}")
    tick_at(beat, SLOT + jump + MINUTE)
    assert len(broker.slots) == 3


def test_it_keeps_nothing_from_one_start_to_the_next(broker):
    tick_at(SlotScheduler(app), SLOT + 2 * HOUR)
    tick_at(SlotScheduler(app), SLOT)
    assert [slot for _, slot in broker.slots] == ["11:30", "09:30"]


# MISCONF is the error of a Redis that cannot write to its disk.
@pytest.mark.parametrize("error", [OperationalError("refused"), ResponseError("MISCONF disk"), ConnectionResetError()])
def test_tick_that_the_broker_does_not_take_is_sent_again_within_its_minute(beat, broker, error, caplog, settings):
    caplog.set_level(logging.INFO, logger="jobs.beat")
    broker.error = error
    assert tick_at(beat, SLOT, SLOT + SECOND) == RETRY_SECONDS
    assert not settings.BEAT_TICK_FILE.exists()

    broker.error = None
    tick_at(beat, SLOT + 2 * SECOND)

    assert broker.slots == [("report-user-tasks", "09:30")]
    assert settings.BEAT_TICK_FILE.exists()
    assert [record.getMessage() for record in caplog.records] == ["broker unavailable", "broker available", "tick"]


def test_tick_counts_as_sent_where_its_file_cannot_be_touched(beat, broker, settings, tmp_path):
    settings.BEAT_TICK_FILE = tmp_path / "missing" / "beat-tick"
    tick_at(beat, SLOT, SLOT + SECOND)
    assert broker.slots == [("report-user-tasks", "09:30")]


def test_tick_of_a_minute_that_is_over_is_not_sent(beat, broker):
    broker.error = OperationalError("refused")
    tick_at(beat, SLOT)
    broker.error = None
    tick_at(beat, SLOT + MINUTE)
    assert broker.slots == [("report-user-tasks", "09:31")]


@pytest.mark.parametrize("late", [0 * SECOND, 59 * SECOND])
def test_message_has_its_job_and_slot_and_expires(late, settings, tmp_path, monkeypatch):
    settings.BEAT_TICK_FILE = tmp_path / "beat-tick"
    with Connection("memory://") as connection:
        producer = app.amqp.Producer(connection.channel())
        send = beat_module.tick.apply_async
        monkeypatch.setattr(beat_module.tick, "apply_async", lambda **arguments: send(**arguments, producer=producer))
        tick_at(SlotScheduler(app), SLOT + late)
        message = connection.SimpleQueue("task-api.jobs").get(timeout=1)
        message.ack()

    assert message.payload[1] == {"job": "report-user-tasks", "slot": "2026-01-31T09:30:00+00:00"}
    assert message.headers["task"] == "jobs.tick"
    expires = datetime.datetime.fromisoformat(message.headers["expires"])
    assert expires == SLOT + late + REPORT_USER_TASKS.expires_seconds * SECOND


def test_ids_are_random_in_every_digit(beat, broker):
    """A tick's id is also its trace's id, whose second half samplers use to select a share of the traces."""
    tick_at(beat, *(SLOT + number * MINUTE for number in range(100)))
    assert len(broker.ids) >= 100
    assert all(re.fullmatch("[0-9a-f]{32}", identifier) for identifier in broker.ids)
    assert all(len({identifier[place] for identifier in broker.ids}) > 8 for place in range(32))
