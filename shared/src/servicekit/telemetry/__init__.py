"""Traces and error reports, each imported only where a variable asks for it (docs/adr/0036 and 0037)."""

from collections.abc import Callable
from multiprocessing import util

from servicekit.process import env
from servicekit.telemetry import configuration

# What sends the rest, of each that was started.
_started: list[Callable[[], None]] = []


def start(part: str) -> None:
    """Start what the variables ask for, in a process of this part; after a fork, in the child."""
    if traces := configuration.traces():
        from servicekit.telemetry import tracing

        _started.append(tracing.start(part, traces))
    if env.get("SENTRY_DSN"):
        from servicekit.telemetry import error_reports

        _started.append(error_reports.start(part))
    # As by atexit, and also in processes that multiprocessing started, as granian's, in which atexit calls nothing.
    util.Finalize(None, stop, exitpriority=0)


def stop() -> None:
    """Send what waits; each receiver that does not respond costs about two seconds.

    Only a process that ends otherwise, as those of a pool, has to call it.
    """
    # In the order of their start, spans first: a process that stops too slowly is killed, and there are more of them.
    while _started:
        _started.pop(0)()
