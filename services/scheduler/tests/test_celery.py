"""Celery's options: that they exist, are consistent and take effect. tests/chaos covers the rest."""

import json
import os
import subprocess
import sys

import pytest
from celery.app.defaults import SETTING_KEYS
from celery.app.utils import find_app
from django.conf import settings
from kombu import Connection

from jobs.schedule import JOBS
from scheduler_service.celery import app
from scheduler_service.consuming import LONGEST_SILENCE_SECONDS
from tests.conftest import ROOT


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
    visibility = app.conf.broker_transport_options["visibility_timeout"]
    for job in JOBS.values():
        # A killed worker's message must be redelivered before it expires, and expire within a period, or ticks pile up.
        assert visibility < job.expires_seconds < 60
    # Kombu waits for a second for the next message, which must not exceed the socket's timeout.
    assert app.conf.broker_transport_options["socket_timeout"] > 1


def test_no_time_limit_raises_into_a_job():
    """The runner checks the deadline between pieces, and the kernel kills a process whose piece takes too long."""
    assert (app.conf.task_soft_time_limit, app.conf.task_time_limit) == (None, None)


def test_a_job_that_may_take_long_is_one_that_can_be_continued():
    """Otherwise it would occupy a process of the worker, and start over after a deployment."""
    assert [job.name for job in JOBS.values() if job.limit_seconds > LONGEST_SILENCE_SECONDS] == ["delete-old-runs"]


def test_worker_consumes_from_a_queue_of_our_own():
    assert list(app.amqp.queues.consume_from) == ["task-api.jobs"]


def test_message_in_another_form_than_json_is_refused():
    with Connection("memory://") as connection:
        consumer = app.amqp.TaskConsumer(connection.channel())
        assert consumer.accept == {"application/json"}


def test_pool_process_leaves_the_workers_group():
    """Runs in a separate process, since otherwise pytest would leave its terminal's process group."""
    program = (
        "import os; from celery import signals; import scheduler_service.celery; before = os.getpgrp();"
        "signals.worker_process_init.send(sender=None); print(before != os.getpgrp() == os.getpid())"
    )
    assert python(program) == "True\n"


def test_pool_process_knows_that_the_worker_stops():
    program = (
        "import os; from celery import signals; from scheduler_service.celery import is_stopping;"
        "request, reply = os.pipe(), os.pipe(); child = os.fork() == 0;"
        "child and (os.read(request[0], 1), os.write(reply[1], b'%d' % is_stopping()), os._exit(0));"
        "before = is_stopping(); signals.worker_shutting_down.send(sender=None); os.write(request[1], b'?');"
        "print(before, os.read(reply[0], 1))"
    )
    assert python(program) == "False b'1'\n"


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


FOREIGN = {
    "CELERY_BROKER_URL": "redis://foreign.invalid",
    "CELERY_BROKER_READ_URL": "redis://foreign.invalid",
    "CELERY_BROKER_WRITE_URL": "redis://foreign.invalid",
    "CELERY_RESULT_BACKEND": "redis://foreign.invalid",
    "CELERY_CONFIG_MODULE": "foreign",
    "CELERY_LOADER": "foreign:Loader",
    "CELERY_CUSTOM_WORKER_POOL": "foreign:Pool",
}


def test_variables_of_another_project_decide_nothing():
    program = (
        "from scheduler_service.celery import app; connections = app.connection_for_read(), app.connection_for_write();"
        "print({c.as_uri() for c in connections}, app.conf.result_backend, type(app.loader).__name__)"
    )
    uri = "redis+socket:///nonexistent/redis.sock"
    assert python(program, **FOREIGN) == f"{{'{uri}'}} None AppLoader\n"


def test_variables_of_another_project_are_no_options_of_the_command():
    foreign = {**FOREIGN, "BROKER_URL": "redis://foreign.invalid", "CELERY_WORKER_CONCURRENCY": "7", "APP": "foreign"}
    program = (
        "import sys, celery.apps.worker, scheduler_service.__main__ as main;"
        "celery.apps.worker.Worker.start = lambda self: print(self.app.main, self.concurrency);"
        "sys.argv = ['', 'worker', '--pool', 'solo'];"
        "main.main()"
    )
    assert python(program, **foreign).splitlines()[-1] == "scheduler 2"


@pytest.mark.parametrize("arguments", [[], ["flower"]])
def test_other_commands_are_explained(arguments):
    done = subprocess.run(
        [sys.executable, "-m", "scheduler_service", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("usage: python -m scheduler_service worker|")


def test_report_is_utf_8_where_the_locale_is_not():
    program = (
        "import django; django.setup(); import logging;"
        "logging.getLogger('jobs.report').info('task', extra={'title': 'W\\u00e4sche \\U0001f9fa'})"
    )
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    assert json.loads(python(program, **environment))["title"] == "Wäsche 🧺"


def python(program: str, *arguments: str, **variables: str) -> str:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **variables}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=environment,
        check=True,
        timeout=30,
        encoding="utf-8",
        stdout=subprocess.PIPE,
    ).stdout
