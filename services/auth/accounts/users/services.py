"""Writes."""

from django.db import IntegrityError

from accounts.users.hashers import hashing
from accounts.users.models import User


class UsernameTaken(Exception):
    """A user of this name, or of one that is the same after normalisation, exists."""


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


def change_email(*, user: User, email: str) -> User:
    """Sets the address, which may be empty."""
    user.email = email
    user.save(update_fields=["email"])
    return user
