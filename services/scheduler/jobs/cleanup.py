"""The work of the job delete-old-runs."""

import time

from jobs.job import Progress, Work
from jobs.services import delete_old_runs

# Yields SQLite's lock to waiting writers, which retry at least every 25 ms during their first 150 ms.
# https://sqlite.org/src/file/src/main.c (sqliteDefaultBusyCallback)
PAUSE_SECONDS = 0.03


def delete_old_runs_in_batches(checkpoint: str) -> Work:
    """Delete all runs older than RUNS_KEPT_DAYS, in batches."""
    deleted = int(checkpoint or "0")
    while batch := delete_old_runs():
        deleted += batch
        yield Progress(done=deleted, checkpoint=str(deleted))
        time.sleep(PAUSE_SECONDS)
    return f"{deleted} runs"
