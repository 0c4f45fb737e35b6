"""The scheduler for Celery's beat, which remembers only the last minute that it handled.

Celery's own schedulers record when each entry was last sent, one of them on disk, and after the clock was set back send
nothing until it has caught up. Here, any minute other than the last one is a new slot. A repeated tick is harmless,
since the table of runs has a row for each slot.
"""

import contextlib
import datetime
import logging
import secrets
from typing import Any

from celery import beat
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from jobs.job import MINUTE, Job, is_due, slot_of, slot_text
from jobs.schedule import JOBS
from jobs.tasks import tick
from servicekit.process.redis_library import redis

# How soon a change of the clock is noticed, and how soon a tick that Redis did not accept is sent again.
LONGEST_SLEEP_SECONDS = 5.0
RETRY_SECONDS = 1.0

logger = logging.getLogger("jobs.beat")


class SlotScheduler(beat.Scheduler):
    """A scheduler that sends the tick of each due job once a minute, at its start or when beat starts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._slot: datetime.datetime | None = None
        self._unsent: list[Job] = []
        self._fails = False

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send the due ticks; return the number of seconds until the next call."""
        now = timezone.now()
        slot = slot_of(now)
        if slot != self._slot:
            self._slot = slot
            self._unsent = [job for job in JOBS.values() if is_due(job.schedule, slot)]
        self._unsent = [job for job in self._unsent if not self._sent(job, slot)]
        if self._unsent:
            return RETRY_SECONDS
        return min((slot + MINUTE - timezone.now()).total_seconds(), LONGEST_SLEEP_SECONDS)

    def _sent(self, job: Job, slot: datetime.datetime) -> bool:
        """Send the job's tick; return whether the broker accepted it. Logs when it fails and when it recovers."""
        try:
            # The next call of tick() is the retry, possibly in another slot.
            tick.apply_async(
                kwargs={"job": job.name, "slot": slot_text(slot)},
                # Also the id of the run's trace, which samplers need to be random; Celery's has fixed digits (UUID 4).
                task_id=secrets.token_hex(16),
                expires=job.expires_seconds,
                retry=False,
            )
        except (OperationalError, redis.RedisError, OSError) as error:
            if not self._fails:
                logger.warning("broker unavailable", extra={"error": str(error)})
            self._fails = True
            return False
        if self._fails:
            logger.info("broker available")
        self._fails = False
        # If the disk is full, the container's health check fails, but ticks continue.
        with contextlib.suppress(OSError):
            settings.BEAT_TICK_FILE.touch()
        logger.info("tick", extra={"job": job.name, "slot": slot_text(slot)})
        return True
