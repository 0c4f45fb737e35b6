"""Check a password, and replace it."""

import uuid

from django.db import transaction

from accounts.credentials.lockout import counted_attempt
from accounts.users.hashers import hashing
from accounts.users.models import User
from accounts.users.signals import credentials_changed
from servicekit.database.deadlocks import retries_deadlocks


class InvalidCredentials(Exception):
    """Unknown user, wrong password or inactive account; which of them must not show."""


def check_credentials(*, username: str, password: str, address: str) -> User:
    """The active user of this name and password; raises InvalidCredentials, TooManyRequests or ServiceUnavailable."""
    name = User.normalize_username(username)
    # An unknown user gets an unsaved User, so the check takes as long as for a known one.
    user = User.objects.filter(username=name).first() or User(username=name)
    with counted_attempt(user=user, address=address):
        with hashing():
            right = user.check_password(password)
        if not right or not user.is_active:
            raise InvalidCredentials
    return user


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
    """Replace the hash only if it is still the one we checked, so one of two concurrent changes wins."""
    with transaction.atomic():
        User.objects.filter(id=user.id, password=checked, is_active=True).update(password=user.password)
        if not User.objects.filter(id=user.id, password=user.password).exists():
            raise InvalidCredentials
        credentials_changed.send(sender=User, user_id=user.id, except_session_id=session_id)
