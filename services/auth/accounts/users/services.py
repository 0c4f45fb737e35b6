"""Registering users and changing their e-mail addresses."""

from django.db import IntegrityError

from accounts.security_log import USER_REGISTERED, log_event
from accounts.users.hashers import password_slot
from accounts.users.models import User


class UsernameTaken(Exception):
    """Another user's normalised name is the same."""


def register_user(*, username: str, password: str, email: str = "", client: str) -> User:
    """Create a user from validated fields; raises UsernameTaken or ServiceUnavailable."""
    with password_slot():
        # Hash outside the transaction below, which would otherwise hold SQLite's write lock while hashing.
        user = User.objects.new_user(username, password, email=email)
    try:
        user.save(force_insert=True)
    except IntegrityError:
        raise UsernameTaken from None
    log_event(USER_REGISTERED, user_id=user.id, client=client)
    return user


def change_email(*, user: User, email: str) -> User:
    """Set the e-mail address, which may be empty."""
    user.email = email
    user.save(update_fields=["email"])
    return user
