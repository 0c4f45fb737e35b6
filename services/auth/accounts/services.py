"""Writes, and the checks of who somebody is."""

import uuid
from typing import Any

from django.db import IntegrityError, transaction

from accounts.hashers import hashing
from accounts.lockout import counted_attempt
from accounts.models import User
from accounts.sessions import begin_session, end_sessions
from servicekit.deadlocks import retries_deadlocks


class UsernameTaken(Exception):
    """A user of this name, or of one that is the same after normalisation, exists."""


class InvalidCredentials(Exception):
    """Unknown user, wrong password or inactive account; which of them must not show."""


def register_user(*, username: str, password: str, email: str = "") -> User:
    """Stores a user of validated fields; raises UsernameTaken, or ServiceUnavailable where too many passwords wait."""
    with hashing():
        user = User.objects.new_user(username, password, email=email)
    try:
        # A transaction of its own, and not the hashing's too: it would keep the lock of SQLite's one writer as long.
        user.save(force_insert=True)
    except IntegrityError:
        raise UsernameTaken from None
    return user


def check_credentials(*, username: str, password: str, address: str) -> User:
    """The active user of this name and password; raises InvalidCredentials, TooManyRequests or ServiceUnavailable."""
    name = User.normalize_username(username)
    # One who is not stored has no password: none is right, and finding that out takes as long as for one who is.
    user = User.objects.filter(username=name).first() or User(username=name)
    with counted_attempt(user=user, address=address):
        with hashing():
            right = user.check_password(password)
        if not right or not user.is_active:
            raise InvalidCredentials
    return user


def log_in(*, username: str, password: str, user_agent: str, address: str) -> dict[str, Any]:
    """A pair of tokens for a new session; raises InvalidCredentials, TooManyRequests or ServiceUnavailable."""
    user = check_credentials(username=username, password=password, address=address)
    tokens = begin_session(user=user, user_agent=user_agent, address=address)
    if tokens is None:
        raise InvalidCredentials
    return tokens


def change_password(*, user: User, current: str, new: str, session_id: uuid.UUID, address: str) -> None:
    """Sets a validated password and ends the user's other sessions.

    Raises InvalidCredentials, TooManyRequests or ServiceUnavailable.
    """
    with counted_attempt(user=user, address=address):
        with hashing():
            if not user.check_password(current):
                raise InvalidCredentials
            checked = user.password
            user.set_password(new)
        _store_password(user=user, checked=checked, session_id=session_id)


@retries_deadlocks
def _store_password(*, user: User, checked: str, session_id: uuid.UUID) -> None:
    """In the place of the hash that was looked at, and of no other: two changes at once are one."""
    with transaction.atomic():
        User.objects.filter(id=user.id, password=checked, is_active=True).update(password=user.password)
        if not User.objects.filter(id=user.id, password=user.password).exists():
            raise InvalidCredentials
        end_sessions(user_id=user.id, except_session_id=session_id)


def change_email(*, user: User, email: str) -> User:
    """Sets the address, which may be empty."""
    user.email = email
    user.save(update_fields=["email"])
    return user
