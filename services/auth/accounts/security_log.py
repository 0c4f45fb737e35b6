"""The security events that the service logs and counts. docs/logs.md lists them; a test compares the two."""

import logging
from dataclasses import dataclass
from logging import INFO, WARNING
from typing import Any

from servicekit.metrics import Counter

logger = logging.getLogger("accounts.security")

EVENTS = Counter("auth_security_events", "Security events, by the message of their log line.", ["event"])


@dataclass(frozen=True, slots=True)
class Event:
    """A kind of security event: the level and message of its log line."""

    level: int
    message: str

    def __post_init__(self) -> None:
        # Start at 0, so that the first event is an increase.
        EVENTS.labels(self.message)


USER_REGISTERED = Event(INFO, "user registered")
STAFF_CREATED = Event(INFO, "staff user created")
LOGIN_SUCCEEDED = Event(INFO, "login succeeded")
LOGIN_FAILED = Event(WARNING, "login failed")
LOGIN_REFUSED = Event(WARNING, "login refused")
ADMIN_LOGIN_SUCCEEDED = Event(INFO, "admin login succeeded")
ADMIN_ACTION = Event(INFO, "admin action")
PASSWORD_CHANGE_FAILED = Event(WARNING, "password change failed")
PASSWORD_CHANGE_REFUSED = Event(WARNING, "password change refused")
CREDENTIALS_CHANGED = Event(INFO, "credentials changed")
SESSIONS_ENDED = Event(INFO, "sessions ended")
REFRESH_TOKEN_REPLAYED = Event(WARNING, "refresh token replayed")


def log_event(event: Event, *, user_id: int | None, client: str | None, **fields: Any) -> None:
    """Count the event, and log it with the user's id and the client's IP address, each None if there is none.

    Never pass a name that was typed: people type passwords into the username field.
    """
    EVENTS.labels(event.message).inc()
    logger.log(event.level, event.message, extra={"user_id": user_id, "client": client, **fields})
