"""The relay: the process that starts work waiting in the database. ``manage.py relay`` runs it.

Several relays may run. One of them leads and does the work; another takes over when the leader's counter stops.
"""

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Hashable, Iterable
from typing import Protocol

from django.conf import settings
from django.db import IntegrityError, close_old_connections, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.module_loading import import_string

from jobs.models import RelayLease
from servicekit.metrics import Gauge

INTERVAL_SECONDS = 0.5
# Longer than a step usually takes. If Redis or the database hangs, two relays may do the same step.
LEASE_SECONDS = 10.0

_ROW = 1

logger = logging.getLogger("jobs.relay")

DEPENDENCY_UP = Gauge(
    "dependency_up",
    "Whether the relay reaches the database (1 or 0), and while it leads, Redis.",
    ["dependency"],
    multiprocess_mode="livemostrecent",
)


class Watch:
    """A record of how long things have been unchanged, by a monotonic clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Hashable, tuple[Hashable, float]] = {}

    def unchanged_for(self, thing: Hashable, state: Hashable) -> float:
        """Return the seconds since the thing was first seen in its current state."""
        now = self._clock()
        before, since = self._seen.get(thing, (None, now))
        if before != state:
            since = now
        self._seen[thing] = (state, since)
        return now - since

    def forget_all_but(self, things: Iterable[Hashable]) -> None:
        """Forget all things except these."""
        self._seen = {thing: self._seen[thing] for thing in things if thing in self._seen}


class Leadership:
    """A process's claim to lead the relays."""

    def __init__(self, *, watch: Watch | None = None) -> None:
        self._name = uuid.uuid4().hex
        self._watch = watch or Watch()

    def hold(self) -> bool:
        """Renew the lease, or acquire it if it was released or has expired; return whether this process holds it."""
        now = timezone.now()
        RelayLease.objects.filter(id=_ROW, holder=self._name).update(beats=F("beats") + 1, seen_at=now)
        row = RelayLease.objects.filter(id=_ROW).first()
        if row is None:
            return self._insert()
        if row.holder == self._name:
            return True
        if row.holder and self._watch.unchanged_for(_ROW, (row.holder, row.beats)) < LEASE_SECONDS:
            return False
        RelayLease.objects.filter(id=_ROW, holder=row.holder, beats=row.beats).update(
            holder=self._name, beats=row.beats + 1, seen_at=now
        )
        return RelayLease.objects.filter(id=_ROW, holder=self._name).exists()

    def give_up(self) -> None:
        """Release the lease, so that another relay can lead immediately."""
        RelayLease.objects.filter(id=_ROW, holder=self._name).update(holder="")

    def _insert(self) -> bool:
        try:
            with transaction.atomic():
                RelayLease.objects.create(id=_ROW, holder=self._name, beats=1, seen_at=timezone.now())
        except IntegrityError:
            return False
        return True


class Step(Protocol):
    """A step of the leader's rounds. It must be safe to interrupt, and to run in two relays simultaneously."""

    def __call__(self) -> None: ...


def make_steps() -> dict[str, Step]:
    """Return an instance of each class in RELAY_STEPS, by its dotted path."""
    return {path: import_string(path)() for path in settings.RELAY_STEPS}


class Relay:
    """The main loop: rounds of all steps while this relay leads."""

    def __init__(self, steps: dict[str, Step], *, leadership: Leadership | None = None) -> None:
        self._steps = steps
        self._leadership = leadership or Leadership()
        self._leads: bool | None = None
        self._stopped = False
        self._failing: set[str] = set()

    def stop(self) -> None:
        """Make run() return after the current round. Takes no lock, so signal handlers may call it."""
        self._stopped = True

    def run(self) -> None:
        """Do a round of all steps twice a second, until stop() is called."""
        while not self._stopped:
            close_old_connections()
            self._try("lease", self._lead)
            DEPENDENCY_UP.labels("database").set("lease" not in self._failing)
            if self._leads:
                for name, step in self._steps.items():
                    self._try(name, step)
            time.sleep(INTERVAL_SECONDS)
        self._try("lease", self._leadership.give_up)

    def _lead(self) -> None:
        led, self._leads = self._leads, False
        self._leads = self._leadership.hold()
        # If the disk is full, the container's health check fails, but the steps continue.
        with contextlib.suppress(OSError):
            settings.RELAY_PULSE_FILE.touch()
        if led != self._leads:
            logger.info("relay leads" if self._leads else "relay stands by")

    def _try(self, name: str, step: Callable[[], None]) -> None:
        """Run the step. The next round is the retry, so only the first error in a row, and the recovery, are logged."""
        try:
            step()
        # No error may stop the other steps or the next rounds.
        except Exception:
            if name not in self._failing:
                logger.exception("relay step failed", extra={"step": name})
            self._failing.add(name)
        else:
            if name in self._failing:
                logger.info("relay step works again", extra={"step": name})
            self._failing.discard(name)
