"""The Celery application; its options are in settings.py. ``python -m scheduler_service`` runs its processes."""

import logging.config
import mmap
import os
import time
from typing import Any

from celery import Celery, signals

from scheduler_service.environment import PART, forget_foreign_variables
from servicekit import telemetry
from servicekit.metrics import Histogram, exposition
from servicekit.process.context import set_request_id

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_service.settings")
# In Celery, environment variables such as CELERY_BROKER_URL override the settings.
forget_foreign_variables(os.environ)

app = Celery("scheduler")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

DURATION = Histogram(
    "celery_task_duration_seconds",
    "Duration of Celery tasks, by name and state.",
    ["task", "state"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
# The message header that contains the time of sending, in Unix time.
PUBLISHED_AT = "task-api-published-at"

# Each process of the pool runs one task at a time.
_started_at = 0.0

# Memory shared by the worker and the processes of its pool, which are forked from it.
_stopping = mmap.mmap(-1, 1)


def is_stopping() -> bool:
    """Return whether this process's worker is shutting down."""
    return _stopping[0] == 1


@signals.worker_shutting_down.connect
def note_stop(**kwargs: Any) -> None:
    """Set the flag for the pool's processes, which get no signal themselves."""
    _stopping[0] = 1


@signals.setup_logging.connect
def configure_logging(**kwargs: Any) -> None:
    """Configure logging as in the services. Since this signal has a receiver, Celery installs no handlers."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)


@signals.worker_process_init.connect
def leave_process_group(**kwargs: Any) -> None:
    """Leave the worker's process group: a SIGTERM to the group then spares this process, so its job can finish.

    The pool's processes still do not outlive the worker: on Linux they are killed when their parent exits.
    """
    os.setpgid(0, 0)


@signals.worker_process_init.connect
@signals.beat_init.connect
def start_telemetry(**kwargs: Any) -> None:
    """Start tracing and error reports in each process of the pool, or in beat."""
    telemetry.start(os.environ.get(PART, "worker"))
    # Connected last, so that it is called after all other receivers, whose work is traced as well.
    signals.worker_process_shutdown.connect(stop_telemetry)


def stop_telemetry(**kwargs: Any) -> None:
    """Send the last spans and reports: a process of the pool exits without running Python's exit handlers."""
    telemetry.stop()


@signals.worker_ready.connect
@signals.beat_init.connect
def serve_metrics(**kwargs: Any) -> None:
    """Serve the metrics if this is a container, from the worker's main process or from beat."""
    exposition.serve_own()


@signals.before_task_publish.connect
def stamp(headers: dict[str, Any], **kwargs: Any) -> None:
    """Add the time of sending, from which the waiting time in a queue is measured."""
    headers[PUBLISHED_AT] = time.time()


@signals.task_prerun.connect
def enter_job(task_id: str, **kwargs: Any) -> None:
    """Use the message's id as the request id in the job's log lines, and note the start time."""
    global _started_at
    _started_at = time.perf_counter()
    set_request_id(task_id.replace("-", ""))


@signals.task_postrun.connect
def leave_job(task: Any, state: str | None = None, **kwargs: Any) -> None:
    """Record the task's duration, and reset the request id: log lines between two jobs belong to neither."""
    DURATION.labels(task.name, state or "UNKNOWN").observe(time.perf_counter() - _started_at)
    set_request_id("")
