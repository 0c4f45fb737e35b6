"""Report unexpected errors to SENTRY_DSN, without user input or anything that identifies a user (docs/adr/0037).

A report is built from an allowlist, not by removing what must not be sent: Sentry's own integrations add bodies,
headers, cookies and local variables, and each of its releases may add more.
"""

from collections.abc import Callable
from typing import Any, cast

import sentry_sdk
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import BadDsn

from servicekit.process import env
from servicekit.process.context import request_id
from servicekit.process.env import ConfigurationError

FLUSH_SECONDS = 2.0
# Members about the process and the library: no names, texts or values.
_MEMBERS = ("event_id", "timestamp", "platform", "level", "logger", "sdk")
# Members of a traceback's frame. "vars" are the local variables; "abs_path" may contain the name of the machine's user.
_FRAME = ("filename", "function", "module", "lineno", "in_app")


def start(part: str) -> Callable[[], None]:
    """Start reporting what this process logs at ERROR with a traceback; return a function that sends what remains.

    Raises ConfigurationError for a malformed DSN.
    """
    try:
        sentry_sdk.init(
            dsn=env.get("SENTRY_DSN"),
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[
                # Unexpected errors are logged with a traceback.
                LoggingIntegration(level=None, sentry_logs_level=None)
            ],
            # Not sent; without it, each process runs git.
            release="none",
            before_send=lambda event, hint: report(event, hint, part=part),
            include_local_variables=False,
            include_source_context=False,
            max_breadcrumbs=0,
            auto_session_tracking=False,
            send_client_reports=False,
        )
    except BadDsn:
        # The library's message would show it.
        raise ConfigurationError("SENTRY_DSN", "is malformed") from None
    return lambda: sentry_sdk.flush(timeout=FLUSH_SECONDS)


def report(event: Event, hint: Hint, *, part: str) -> Event | None:
    """Return the part of an event that may be sent; None for a log record without a traceback."""
    if "exc_info" not in hint:
        return None
    members = {name: value for name, value in event.items() if name in _MEMBERS}
    tags = {"part": part, "request_id": request_id() or "none"}
    errors = [_error(error) for error in event.get("exception", {}).get("values", [])]
    return cast(Event, {**members, "tags": tags, "exception": {"values": errors}})


def _error(error: dict[str, Any]) -> dict[str, Any]:
    """Return an exception without its message, which often quotes a value; the log has it under the request id."""
    frames = error.get("stacktrace", {}).get("frames", [])
    lines = [{name: frame[name] for name in _FRAME if name in frame} for frame in frames]
    return {"type": error.get("type"), "module": error.get("module"), "stacktrace": {"frames": lines}}
