"""Traces and error reports, each imported only if its variable is set (docs/adr/0036 and 0037)."""

from collections.abc import Callable
from multiprocessing import util

from servicekit.process import env
from servicekit.telemetry import configuration

# The functions that send what remains, in the order of their start.
_started: list[Callable[[], None]] = []


def start(part: str) -> None:
    """Start what the variables enable, in a process of this part; after a fork, call this in the child."""
    if traces := configuration.traces():
        from servicekit.telemetry import tracing

        _started.append(tracing.start(part, traces))
    if env.get("SENTRY_DSN"):
        from servicekit.telemetry import error_reports

        _started.append(error_reports.start(part))
    # Like atexit, but also in processes that multiprocessing started, such as granian's, where atexit calls nothing.
    util.Finalize(None, stop, exitpriority=0)


def stop() -> None:
    """Send the remaining spans and reports; each receiver that does not respond costs about two seconds.

    Only processes that exit without finalisers, such as those of a pool, have to call this.
    """
    # Spans first, in the order of the start: a process that stops too slowly is killed, and there are more spans.
    while _started:
        _started.pop(0)()
