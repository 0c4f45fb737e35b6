"""Writes, and the checks of who somebody is."""

import uuid
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.sessions import begin_session, end_sessions


class UsernameTaken(Exception):
    """A user of this name, or of one that is the same after normalisation, exists."""


class InvalidCredentials(Exception):
    """Unknown user, wrong password or inactive account; which of them must not show."""


def register_user(*, username: str, password: str, email: str = "") -> User:
    """Stores a user of validated fields; raises UsernameTaken."""
    user = User.objects.new_user(username, password, email=email)
    try:
        # Not the hashing too: it would keep the lock of SQLite's one writer for as long as it takes.
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        raise UsernameTaken from None
    return user


def log_in(*, username: str, password: str, user_agent: str, address: str) -> dict[str, Any]:
    """A pair of tokens for a new session; raises InvalidCredentials."""
    try:
        user = User.objects.get_by_natural_key(username)
    except User.DoesNotExist:
        # As much work as for a user that exists, so that the time does not tell which it was.
        make_password(password)
        raise InvalidCredentials from None
    if not user.check_password(password) or not user.is_active:
        raise InvalidCredentials
    tokens = begin_session(user=user, user_agent=user_agent, address=address)
    if tokens is None:
        raise InvalidCredentials
    return tokens


def change_password(*, user: User, current: str, new: str, session_id: uuid.UUID) -> None:
    """Sets a validated password and ends the user's other sessions; raises InvalidCredentials."""
    if not user.check_password(current):
        raise InvalidCredentials
    checked = user.password
    user.set_password(new)
    with transaction.atomic():
        # In the place of the hash that was looked at, and of no other: two changes at once are one.
        User.objects.filter(id=user.id, password=checked, is_active=True).update(password=user.password)
        if not User.objects.filter(id=user.id, password=user.password).exists():
            raise InvalidCredentials
        end_sessions(user_id=user.id, except_session_id=session_id)


def change_email(*, user: User, email: str) -> User:
    """Sets the address, which may be empty."""
    user.email = email
    user.save(update_fields=["email"])
    return user
