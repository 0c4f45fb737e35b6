"""The relay's steps for webhooks. A round that is interrupted, or done by two relays at once, is harmless."""

from webhooks.housekeeping import clean_up
from webhooks.reader import EVENTS_AT_ONCE, relay_events
from webhooks.tasks import wake_workers

# After this many, the other steps have their turn; the next round continues.
PASSES_AT_ONCE = 10


class RelayEvents:
    """Make deliveries of new events."""

    def __call__(self) -> None:
        """Read until there is no more, or for PASSES_AT_ONCE."""
        for _ in range(PASSES_AT_ONCE):
            if relay_events() < EVENTS_AT_ONCE:
                break


class WakeWorkers:
    """Have the workers send what is due: new deliveries, and retries whose time has come."""

    def __call__(self) -> None:
        """Send a message if there is work. Raises errors of the database and the broker."""
        wake_workers()


class CleanUp:
    """Delete what is old, a little in each round."""

    def __call__(self) -> None:
        """Do one small piece of work; raises errors of the database."""
        clean_up()
