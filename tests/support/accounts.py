"""Users of a running stack."""

import time
from typing import Any

from support.stack import Stack

PASSWORD = "correct horse battery staple"
# An access token lives 300 s, and a suite may take longer than that.
TOKENS_KEPT_SECONDS = 200


class Account:
    """A registered user, whose tokens are renewed before they expire."""

    def __init__(self, stack: Stack, *, user_id: int, username: str, password: str) -> None:
        self.id = user_id
        self.username = username
        self._stack = stack
        self._password = password
        self._log_in()

    @property
    def access(self) -> str:
        return str(self._valid_tokens()["access"])

    @property
    def refresh(self) -> str:
        return str(self._valid_tokens()["refresh"])

    def _valid_tokens(self) -> dict[str, Any]:
        if time.monotonic() - self._logged_in_at > TOKENS_KEPT_SECONDS:
            self._log_in()
        return self._tokens

    def _log_in(self) -> None:
        self._tokens = log_in(self._stack, self.username, password=self._password)
        self._logged_in_at = time.monotonic()


def register(stack: Stack, name: str, *, password: str = PASSWORD) -> Account:
    """Register a user and log in."""
    response = stack.call("POST", "/api/auth/register", json={"username": name, "password": password})
    assert response.status_code == 201, response.text
    return Account(stack, user_id=response.json()["id"], username=name, password=password)


def log_in(stack: Stack, name: str, *, password: str = PASSWORD) -> dict[str, Any]:
    """Return a new pair of tokens."""
    response = stack.call("POST", "/api/auth/token", json={"username": name, "password": password})
    assert response.status_code == 200, response.text
    tokens: dict[str, Any] = response.json()
    return tokens
