"""The relay's steps for webhooks. They are safe to interrupt, and to run in two relays simultaneously."""

from webhooks.housekeeping import clean_up
from webhooks.reader import EVENTS_AT_ONCE, relay_events
from webhooks.tasks import wake_workers

# Passes of the reader in a round, after which the other steps get their turn.
PASSES_AT_ONCE = 10


class RelayEvents:
    """The step that creates deliveries of new events."""

    def __call__(self) -> None:
        """Read until there are no more events, or for PASSES_AT_ONCE; raises errors of the database."""
        for _ in range(PASSES_AT_ONCE):
            if relay_events() < EVENTS_AT_ONCE:
                break


class WakeWorkers:
    """The step that wakes the sender to send due deliveries, both new ones and retries."""

    def __call__(self) -> None:
        """Send a message if there is work; raises errors of the database and the broker."""
        wake_workers()


class CleanUp:
    """The step for housekeeping, a little in each round."""

    def __call__(self) -> None:
        """Do a small piece of work; raises errors of the database."""
        clean_up()
