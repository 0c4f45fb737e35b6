"""The Celery application; its options are in settings.py. ``python -m scheduler_service`` runs worker and beat."""

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
# In Celery, environment variables such as CELERY_BROKER_URL override every setting.
forget_foreign_variables(os.environ)

app = Celery("scheduler")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

DURATION = Histogram(
    "celery_task_duration_seconds",
    "Duration of Celery's tasks, by name and state.",
    ["task", "state"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
# The header of a message that tells when it was sent.
PUBLISHED_AT = "task-api-published-at"

# A process of the pool has one task at a time.
_started_at = 0.0

# Shared by the worker and the processes of its pool, which are forked from it.
_stopping = mmap.mmap(-1, 1)


def is_stopping() -> bool:
    """Return whether the worker that this process belongs to was told to stop."""
    return _stopping[0] == 1


@signals.worker_shutting_down.connect
def note_stop(**kwargs: Any) -> None:
    """Tell the pool's processes, which get no signal themselves."""
    _stopping[0] = 1


@signals.setup_logging.connect
def configure_logging(**kwargs: Any) -> None:
    """Log as the services do. As long as this receiver exists, Celery installs no handlers."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)


@signals.worker_process_init.connect
def leave_process_group(**kwargs: Any) -> None:
    """Survive a SIGTERM to the worker's process group, so that the worker can wait for the job.

    The pool's processes still do not outlive the worker: on Linux they end with their parent.
    """
    os.setpgid(0, 0)


@signals.worker_process_init.connect
@signals.beat_init.connect
def start_telemetry(**kwargs: Any) -> None:
    """Trace and report errors from each process of the pool, or from beat."""
    telemetry.start(os.environ.get(PART, "worker"))
    # Only now, so that it is called after all others: what they still do is traced as well.
    signals.worker_process_shutdown.connect(stop_telemetry)


def stop_telemetry(**kwargs: Any) -> None:
    """Send the last spans and reports: a process of the pool ends without Python's own end."""
    telemetry.stop()


@signals.worker_ready.connect
@signals.beat_init.connect
def serve_metrics(**kwargs: Any) -> None:
    """Serve the metrics in a container, from the worker's own process or beat's."""
    exposition.serve_own()


@signals.before_task_publish.connect
def stamp(headers: dict[str, Any], **kwargs: Any) -> None:
    """Tell when the message was sent: its age is how long a queue keeps one waiting."""
    headers[PUBLISHED_AT] = time.time()


@signals.task_prerun.connect
def enter_job(task_id: str, **kwargs: Any) -> None:
    """Give a job's log lines its message's id, in the form of a request id, and note when it begins."""
    global _started_at
    _started_at = time.perf_counter()
    set_request_id(task_id.replace("-", ""))


@signals.task_postrun.connect
def leave_job(task: Any, state: str | None = None, **kwargs: Any) -> None:
    """Count the task, and forget the id: what the process logs between two jobs belongs to neither."""
    DURATION.labels(task.name, state or "UNKNOWN").observe(time.perf_counter() - _started_at)
    set_request_id("")
