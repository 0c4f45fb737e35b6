"""The relay: a process that starts work that waits in the database. ``manage.py relay`` runs it.

Several may run. One of them leads and does the work; another takes over when the leader's counter stands still.
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
# Longer than a step usually takes. If Redis or the database does not respond, two relays may do the same step.
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
    """Measure how long things have stayed unchanged, by a monotonic clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Hashable, tuple[Hashable, float]] = {}

    def unchanged_for(self, thing: Hashable, state: Hashable) -> float:
        """Return the seconds since the thing was first seen in this state."""
        now = self._clock()
        before, since = self._seen.get(thing, (None, now))
        if before != state:
            since = now
        self._seen[thing] = (state, since)
        return now - since

    def forget_all_but(self, things: Iterable[Hashable]) -> None:
        """Forget the things that no longer exist."""
        self._seen = {thing: self._seen[thing] for thing in things if thing in self._seen}


class Leadership:
    """The process's claim to be the leader."""

    def __init__(self, *, watch: Watch | None = None) -> None:
        self._name = uuid.uuid4().hex
        self._watch = watch or Watch()

    def hold(self) -> bool:
        """Renew the lease, or take it if its holder has not renewed it for LEASE_SECONDS, or has given it up."""
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
        """Let another relay lead at once."""
        RelayLease.objects.filter(id=_ROW, holder=self._name).update(holder="")

    def _insert(self) -> bool:
        try:
            with transaction.atomic():
                RelayLease.objects.create(id=_ROW, holder=self._name, beats=1, seen_at=timezone.now())
        except IntegrityError:
            return False
        return True


class Step(Protocol):
    """A step of the leader's rounds. It must be safe to interrupt, and for two relays to do at once."""

    def __call__(self) -> None: ...


def make_steps() -> dict[str, Step]:
    """Instantiate each class that RELAY_STEPS names; return the instances by that name."""
    return {path: import_string(path)() for path in settings.RELAY_STEPS}


class Relay:
    """The loop over all steps."""

    def __init__(self, steps: dict[str, Step], *, leadership: Leadership | None = None) -> None:
        self._steps = steps
        self._leadership = leadership or Leadership()
        self._leads: bool | None = None
        self._stopped = False
        self._failing: set[str] = set()

    def stop(self) -> None:
        """End run() after the current round. Takes no lock, so signal handlers may call it."""
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
        # On a full disk the container's check fails, but the steps go on.
        with contextlib.suppress(OSError):
            settings.RELAY_PULSE_FILE.touch()
        if led != self._leads:
            logger.info("relay leads" if self._leads else "relay stands by")

    def _try(self, name: str, step: Callable[[], None]) -> None:
        """Run the step. The next round is the retry, so an error is logged when it begins and when it is over."""
        try:
            step()
        # Whatever the error is, the other steps and the next rounds go on.
        except Exception:
            if name not in self._failing:
                logger.exception("relay step failed", extra={"step": name})
            self._failing.add(name)
        else:
            if name in self._failing:
                logger.info("relay step works again", extra={"step": name})
            self._failing.discard(name)
