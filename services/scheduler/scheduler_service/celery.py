"""The Celery application; its options are in settings.py. ``python -m scheduler_service`` runs worker and beat."""

import logging.config
import mmap
import os
from typing import Any

from celery import Celery, signals

from scheduler_service.environment import forget_foreign_variables
from servicekit.process.context import set_request_id

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_service.settings")
# In Celery, environment variables such as CELERY_BROKER_URL override every setting.
forget_foreign_variables(os.environ)

app = Celery("scheduler")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

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


@signals.task_prerun.connect
def enter_job(task_id: str, **kwargs: Any) -> None:
    """Give a job's log lines its message's id, in the form of a request id."""
    set_request_id(task_id.replace("-", ""))


@signals.task_postrun.connect
def leave_job(**kwargs: Any) -> None:
    """Forget the id: what the process logs between two jobs belongs to neither."""
    set_request_id("")
