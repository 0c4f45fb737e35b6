"""The work of the job delete-old-runs."""

import time

from jobs.job import Progress, Work
from jobs.services import delete_old_runs

# Yields SQLite's lock to waiting writers, which retry after at most 6.4 ms (PAUSES_SECONDS in
# servicekit/database/sqlite/base.py): SQLite's own busy handler is off.
PAUSE_SECONDS = 0.03


def delete_old_runs_in_batches(checkpoint: str) -> Work:
    """Delete all runs older than RUNS_KEPT_DAYS, in batches."""
    deleted = int(checkpoint or "0")
    while batch := delete_old_runs():
        deleted += batch
        yield Progress(done=deleted, checkpoint=str(deleted))
        time.sleep(PAUSE_SECONDS)
    return f"{deleted} runs"
