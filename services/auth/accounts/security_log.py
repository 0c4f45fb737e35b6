"""The security events that the service logs; docs/logs.md lists them, and a test holds the two together."""

import logging
from dataclasses import dataclass
from logging import INFO, WARNING
from typing import Any

logger = logging.getLogger("accounts.security")


@dataclass(frozen=True, slots=True)
class Event:
    """A kind of log line."""

    level: int
    message: str


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
    """Log the event with the account that it is about and the IP address of the client; None if there is none.

    Never pass a name that was typed: people type passwords into the field for the name.
    """
    logger.log(event.level, event.message, extra={"user_id": user_id, "client": client, **fields})
