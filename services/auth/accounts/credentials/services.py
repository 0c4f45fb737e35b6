"""Checking and changing passwords."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from accounts.credentials.lockout import counted_attempt
from accounts.security_log import (
    LOGIN_FAILED,
    LOGIN_REFUSED,
    PASSWORD_CHANGE_FAILED,
    PASSWORD_CHANGE_REFUSED,
    Event,
    log_event,
)
from accounts.users.hashers import password_slot
from accounts.users.models import User
from accounts.users.signals import credentials_changed
from servicekit.database.deadlocks import retries_deadlocks
from servicekit.http.exceptions import TooManyRequests
from servicekit.tokens.verifier import Principal


class InvalidCredentials(Exception):
    """Unknown user, wrong password or inactive account; callers must not reveal which."""


def check_credentials(*, username: str, password: str, client: str, last: Principal | None = None) -> User:
    """Return the active user with this name and password; ``client`` is the IP address of the request.

    ``last`` is the principal of the refresh token that the client presented, if any. Raises InvalidCredentials,
    TooManyRequests or ServiceUnavailable.
    """
    name = User.normalize_username(username)
    with password_slot():
        # An unknown name gets an unsaved User, so that its check takes as long as any other.
        user = User.objects.filter(username=name).first() or User(username=name)
        session_id = last.session_id if last is not None and last.user_id == user.pk else None
        with (
            _logged(user=user, client=client, failed=LOGIN_FAILED, refused=LOGIN_REFUSED),
            counted_attempt(user=user, address=client, session_id=session_id),
        ):
            right = user.check_password(password)
            if not right or not user.is_active:
                raise InvalidCredentials
    return user


def change_password(*, user: User, current: str, new: str, session_id: uuid.UUID, client: str) -> None:
    """Set a validated password and end the user's other sessions.

    Raises InvalidCredentials, TooManyRequests or ServiceUnavailable.
    """
    with (
        password_slot(),
        _logged(user=user, client=client, failed=PASSWORD_CHANGE_FAILED, refused=PASSWORD_CHANGE_REFUSED),
        counted_attempt(user=user, address=client, session_id=str(session_id)),
    ):
        if not user.check_password(current):
            raise InvalidCredentials
        checked = user.password
        user.set_password(new)
        _store_password(user=user, checked=checked, session_id=session_id, client=client)


@contextmanager
def _logged(*, user: User, client: str, failed: Event, refused: Event) -> Iterator[None]:
    try:
        yield
    except InvalidCredentials:
        log_event(failed, user_id=user.pk, client=client)
        raise
    except TooManyRequests as refusal:
        log_event(refused, user_id=user.pk, client=client, wait=refusal.wait)
        raise


@retries_deadlocks
def _store_password(*, user: User, checked: str, session_id: uuid.UUID, client: str) -> None:
    """Replace the hash only if it is still the one that was checked, so that one of two concurrent changes wins."""
    with transaction.atomic():
        User.objects.filter(id=user.id, password=checked, is_active=True).update(password=user.password)
        if not User.objects.filter(id=user.id, password=user.password).exists():
            raise InvalidCredentials
        credentials_changed.send(
            sender=User, user_id=user.id, changed=["password"], except_session_id=session_id, client=client
        )
