"""The job delete-old-runs."""

import time

from jobs.job import Progress, Work
from jobs.services import delete_old_runs

# Yields SQLite's lock to waiting writers, which in their first 150 ms try again every 25 ms or sooner.
# https://sqlite.org/src/file/src/main.c (sqliteDefaultBusyCallback)
PAUSE_SECONDS = 0.03


def delete_old_runs_in_batches(checkpoint: str) -> Work:
    """Delete every run that is older than RUNS_KEPT_DAYS, a batch at a time."""
    deleted = int(checkpoint or "0")
    while batch := delete_old_runs():
        deleted += batch
        yield Progress(done=deleted, checkpoint=str(deleted))
        time.sleep(PAUSE_SECONDS)
    return f"{deleted} runs"
