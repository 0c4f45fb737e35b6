"""Run a Celery process with this project's options: ``python -m scheduler_service worker|sender|beat``.

Further arguments are passed on to Celery.
"""

import os
import sys
import warnings

from celery.bin.celery import celery
from celery.exceptions import SecurityWarning

from scheduler_service.environment import PART, forget_foreign_variables
from servicekit.database.sqlite import base as sqlite

# Workers do not communicate: each of these features keeps a subscription that would have to survive an outage.
WORKER = ["worker", "--without-gossip", "--without-mingle", "--without-heartbeat"]
COMMANDS = {
    "worker": WORKER,
    # A separate worker for webhooks, so that jobs cannot delay them.
    "sender": [*WORKER, "--queues", "task-api.webhooks", "--hostname", "sender@%h"],
    # A pid file left by a killed beat would prevent the next start.
    "beat": ["beat", "--pidfile="],
}


def main() -> None:
    part, *options = sys.argv[1:] or [""]
    if part not in COMMANDS:
        sys.exit(f"usage: python -m scheduler_service {'|'.join(COMMANDS)} [Celery's options]")
    # Celery's command reads variables such as CELERY_WORKER_CONCURRENCY before it loads the application.
    forget_foreign_variables(os.environ)
    os.environ[PART] = part
    sqlite.DatabaseWrapper.may_create = False
    # Celery warns if it runs as root, which is normal in CI's container.
    warnings.simplefilter("ignore", SecurityWarning)
    celery(["--quiet", "-A", "scheduler_service", *COMMANDS[part], *options])


if __name__ == "__main__":
    main()
