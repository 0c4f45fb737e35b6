"""What the relay does for webhooks in each round. A round that is cut off, or done by two at once, does no harm."""

from webhooks.housekeeping import keep_house
from webhooks.reader import EVENTS_AT_ONCE, relay_events
from webhooks.tasks import wake_workers

# After that, the other steps have their turn; the next round goes on.
PASSES_AT_ONCE = 10


class RelayEvents:
    """Make deliveries of new events."""

    def __call__(self) -> None:
        """Read until there is no more, or for PASSES_AT_ONCE."""
        for _ in range(PASSES_AT_ONCE):
            if relay_events() < EVENTS_AT_ONCE:
                break


class WakeWorkers:
    """Have the workers send what is due: new deliveries, and those whose next attempt has come."""

    def __call__(self) -> None:
        """Send a message where there is something to do. Raises what the database or the broker raise."""
        wake_workers()


class KeepHouse:
    """Delete what is old, a little in each round."""

    def __call__(self) -> None:
        """Do one small piece of work; raises what the database raises."""
        keep_house()
