"""Users of a running stack."""

from dataclasses import dataclass
from typing import Any

from support.stack import Stack

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Account:
    """A registered user with tokens."""

    id: int
    username: str
    access: str
    refresh: str


def register(stack: Stack, name: str, *, password: str = PASSWORD) -> Account:
    """Register a user, and log in."""
    response = stack.call("POST", "/api/auth/register", json={"username": name, "password": password})
    assert response.status_code == 201, response.text
    tokens = log_in(stack, name, password=password)
    return Account(id=response.json()["id"], username=name, access=tokens["access"], refresh=tokens["refresh"])


def log_in(stack: Stack, name: str, *, password: str = PASSWORD) -> dict[str, Any]:
    """Return a new pair of tokens."""
    response = stack.call("POST", "/api/auth/token", json={"username": name, "password": password})
    assert response.status_code == 200, response.text
    tokens: dict[str, Any] = response.json()
    return tokens
