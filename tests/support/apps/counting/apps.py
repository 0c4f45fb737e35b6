"""The app's configuration and its job."""

import os
import time
from pathlib import Path

from django.apps import AppConfig

from jobs.job import Job, Progress, Work

NUMBERS = 1000
PIECE_SECONDS = 0.008


def count(checkpoint: str) -> Work:
    """Write each number's start and end to COUNT_FILE with the process id, which shows which process counted when."""
    first = int(checkpoint or "0") + 1
    with Path(os.environ["COUNT_FILE"]).open("a", buffering=1) as file:
        for number in range(first, NUMBERS + 1):
            file.write(f"{time.monotonic()} {os.getpid()} begins {number}\n")
            time.sleep(PIECE_SECONDS)
            file.write(f"{time.monotonic()} {os.getpid()} ends {number}\n")
            yield Progress(done=number, total=NUMBERS, checkpoint=str(number))
    return f"{NUMBERS} numbers"


class CountingConfig(AppConfig):
    """A job that takes long enough to be interrupted, and leases that expire soon."""

    name = "counting"

    def ready(self) -> None:
        """Add the job to the schedule and shorten the leases before jobs.dispatch reads their duration."""
        from jobs import runner
        from jobs.schedule import JOBS

        runner.PIECE_SECONDS, runner.LEASE_SECONDS = 3, 4.0
        JOBS["count"] = Job(name="count", description="", cron="0 0 1 1 *", work=count, limit_seconds=3600)
