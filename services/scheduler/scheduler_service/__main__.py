"""Run Celery as this project does: ``python -m scheduler_service worker|sender|beat``, and Celery's own options."""

import os
import sys
import warnings

from celery.bin.celery import celery
from celery.exceptions import SecurityWarning

from scheduler_service.environment import forget_foreign_variables
from servicekit.database.sqlite import base as sqlite

# No workers that talk to each other: each of these keeps a subscription that an outage would have to restore.
WORKER = ["worker", "--without-gossip", "--without-mingle", "--without-heartbeat"]
COMMANDS = {
    "worker": WORKER,
    # A worker for webhooks alone, which jobs cannot hold up.
    "sender": [*WORKER, "--queues", "task-api.webhooks", "--hostname", "sender@%h"],
    # A pid file that a killed beat has left would keep the next one from starting.
    "beat": ["beat", "--pidfile="],
}


def main() -> None:
    part, *options = sys.argv[1:] or [""]
    if part not in COMMANDS:
        sys.exit(f"usage: python -m scheduler_service {'|'.join(COMMANDS)} [Celery's options]")
    # Celery's command reads its options from CELERY_WORKER_CONCURRENCY and the like, before it loads the application.
    forget_foreign_variables(os.environ)
    sqlite.DatabaseWrapper.may_create = False
    # Where everything runs as root, such as in CI's container, that is not for Celery to say.
    warnings.simplefilter("ignore", SecurityWarning)
    celery(["--quiet", "-A", "scheduler_service", *COMMANDS[part], *options])


if __name__ == "__main__":
    main()
