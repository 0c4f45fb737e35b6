"""The users of the stack that the suite shares."""

from typing import Any

import pytest

from support.accounts import Account, register
from support.stack import Stack


@pytest.fixture(scope="session")
def first(stack: Stack) -> Account:
    """User 1, whose tasks the scheduler reports."""
    account = register(stack, "first")
    assert account.id == 1
    return account


@pytest.fixture(scope="session")
def ada(stack: Stack, first: Account) -> Account:
    return register(stack, "ada")


@pytest.fixture(scope="session")
def eve(stack: Stack, first: Account) -> Account:
    return register(stack, "eve")


@pytest.fixture
def task(stack: Stack, ada: Account) -> dict[str, Any]:
    body = {"title": "Read", "duration": 30}
    created: dict[str, Any] = stack.call("POST", "/api/tasks", token=ada.access, json=body).json()
    return created
