"""Celery's options: that Celery knows them, that they fit together, and what they do. tests/chaos has the rest."""

import datetime
import json
import os
import subprocess
import sys

import pytest
import time_machine
from celery import signals
from celery.app.defaults import SETTING_KEYS
from celery.app.utils import find_app
from celery.beat import Scheduler
from django.conf import settings
from kombu import Connection

from jobs.schedule import JOBS, REPORT_USER_TASKS
from scheduler_service.celery import app, note_tick
from tests.conftest import ROOT, SECOND, SLOT


def test_celery_knows_every_option():
    ours = {name.removeprefix("CELERY_").lower() for name in dir(settings) if name.startswith("CELERY_")}
    assert ours
    assert ours <= SETTING_KEYS


def test_every_option_arrives():
    for name in dir(settings):
        if name.startswith("CELERY_"):
            assert app.conf[name.removeprefix("CELERY_").lower()] == getattr(settings, name), name


def test_worker_and_beat_find_the_application():
    assert find_app("scheduler_service") is app


def test_times_fit_together():
    soft, hard = app.conf.task_soft_time_limit, app.conf.task_time_limit
    visibility = app.conf.broker_transport_options["visibility_timeout"]
    assert 0 < soft < hard < visibility
    for job in JOBS:
        # Expired, a message of a worker that was killed would not run again; longer than a period, ticks would pile up.
        assert visibility + hard < job.expires < 60
    # The socket would time out while it waits for the next message, which kombu does for a second.
    assert app.conf.broker_transport_options["socket_timeout"] > 1


class Beat:
    """Beat's own scheduler, on a broker in memory."""

    def __init__(self) -> None:
        self._connection = Connection("memory://")
        self.scheduler = Scheduler(app, schedule={}, Producer=lambda *_: None)

    def send(self, name: str):
        """What a worker gets when beat sends this entry: keyword arguments and headers."""
        producer = app.amqp.Producer(self._connection.channel())
        entry = self.scheduler.schedule[name]
        self.scheduler.apply_async(entry, producer=producer, advance=False)
        message = self._connection.SimpleQueue(app.conf.task_default_queue).get(timeout=1)
        message.ack()
        return message.payload[1], message.headers


@pytest.fixture
def beat():
    """With the entries that beat's persistent scheduler takes: ours, and what Celery adds by itself."""
    beat = Beat()
    beat.scheduler.merge_inplace(app.conf.beat_schedule)
    beat.scheduler.install_default_entries(beat.scheduler.schedule)
    return beat


def test_beat_sends_the_jobs_and_nothing_else(beat):
    assert set(beat.scheduler.schedule) == {job.name for job in JOBS}


def test_beat_and_nobody_else_notes_when_the_broker_took_a_tick(beat, settings, tmp_path):
    settings.BEAT_TICK_FILE = tmp_path / "beat-tick"
    beat.send(JOBS[0].name)
    assert not settings.BEAT_TICK_FILE.exists()
    try:
        signals.beat_init.send(sender=None)
        assert not settings.BEAT_TICK_FILE.exists()
        beat.send(JOBS[0].name)
        assert settings.BEAT_TICK_FILE.exists()
    finally:
        signals.after_task_publish.disconnect(note_tick)


@pytest.mark.parametrize("late", [0 * SECOND, 59 * SECOND])
def test_beats_message_has_its_slot_and_expires(beat, late):
    with time_machine.travel(SLOT + late, tick=False):
        arguments, headers = beat.send("report-user-tasks")

    assert (arguments, headers["task"]) == ({"slot": "2026-01-31T09:30:00+00:00"}, "jobs.report_user_tasks")
    expires = datetime.datetime.fromisoformat(headers["expires"])
    assert expires == SLOT + late + REPORT_USER_TASKS.expires * SECOND


def test_message_in_another_form_than_json_is_refused():
    with Connection("memory://") as connection:
        consumer = app.amqp.TaskConsumer(connection.channel())
        assert consumer.accept == {"application/json"}


def test_pool_process_leaves_the_workers_group():
    """In a process of its own, since pytest would leave its terminal's."""
    program = (
        "import os; from celery import signals; import scheduler_service.celery; before = os.getpgrp();"
        "signals.worker_process_init.send(sender=None); print(before != os.getpgrp() == os.getpid())"
    )
    assert python(program) == "True\n"


def test_worker_and_beat_log_as_the_services_do():
    program = (
        "import logging; from scheduler_service.celery import app; app.log.setup(loglevel='INFO');"
        "logging.getLogger('celery.beat').info('tick'); logging.getLogger('celery.app.trace').info('done');"
        "print([type(handler.formatter).__name__ for handler in logging.getLogger().handlers])"
    )
    line, handlers = python(program).splitlines()
    assert json.loads(line)["service"] == "scheduler"
    assert json.loads(line)["message"] == "tick"
    assert handlers == "['JSONFormatter']"


def test_http_service_loads_the_probe_at_its_start_and_the_worker_never():
    program = "import sys, scheduler_service.wsgi; print(*(name in sys.modules for name in sys.argv[1:]))"
    assert python(program, "jobs.health", "scheduler_service.celery") == "True False\n"


def python(program: str, *arguments: str) -> str:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=environment,
        check=True,
        timeout=30,
        text=True,
        stdout=subprocess.PIPE,
    ).stdout
