"""The Celery application, which ``celery -A scheduler_service`` finds here; its options are in settings.py."""

import logging.config
import os
from typing import Any

from celery import Celery, signals
from celery.beat import BeatLazyFunc

from jobs.schedule import JOBS, current_slot
from servicekit.process.context import set_request_id

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_service.settings")

app = Celery("scheduler")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    job.name: {
        "task": job.task,
        "schedule": job.schedule,
        # Beat's clock at the time of sending, so that the message stands for the same slot whenever it is delivered.
        "kwargs": {"slot": BeatLazyFunc(current_slot)},
        "options": {"expires": job.expires},
    }
    for job in JOBS
}


@signals.setup_logging.connect
def configure_logging(**kwargs: Any) -> None:
    """Logs as the services do; that this receiver exists keeps Celery from installing handlers of its own."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)


@signals.beat_init.connect
def note_ticks(**kwargs: Any) -> None:
    """In beat alone: the worker publishes too, and what it sends is no tick."""
    signals.after_task_publish.connect(note_tick)


def note_tick(**kwargs: Any) -> None:
    """Beat has ticked: the broker took a message."""
    from django.conf import settings

    settings.BEAT_TICK_FILE.touch()


@signals.worker_process_init.connect
def leave_process_group(**kwargs: Any) -> None:
    """A SIGTERM to the worker's process group would end the jobs that the worker waits for when it gets one itself.

    The pool's processes do not outlive the worker for it: on Linux they die with their parent.
    """
    os.setpgid(0, 0)


@signals.task_prerun.connect
def enter_job(task_id: str, **kwargs: Any) -> None:
    """A job's log lines carry its message's id, in the form of a request id."""
    set_request_id(task_id.replace("-", ""))


@signals.task_postrun.connect
def leave_job(**kwargs: Any) -> None:
    """What the process logs between two jobs belongs to neither."""
    set_request_id("")
