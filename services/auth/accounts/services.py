"""Writes, and the checks of who somebody is."""

from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.selectors import get_active_user
from accounts.tokens import issue_tokens, new_session_id
from servicekit.jwt import InvalidToken, verify


class UsernameTaken(Exception):
    """A user of this name, or of one that is the same after normalisation, exists."""


class InvalidCredentials(Exception):
    """Unknown user, wrong password or inactive account; which of them must not show."""


def register_user(*, username: str, password: str, email: str = "") -> User:
    """Stores a user of validated fields; raises UsernameTaken."""
    try:
        with transaction.atomic():
            return User.objects.create_user(username, password, email=email)
    except IntegrityError:
        raise UsernameTaken from None


def log_in(*, username: str, password: str) -> dict[str, Any]:
    """A pair of tokens for a new session; raises InvalidCredentials."""
    try:
        user = User.objects.get_by_natural_key(username)
    except User.DoesNotExist:
        # As much work as for a user that exists, so that the time does not tell which it was.
        make_password(password)
        raise InvalidCredentials from None
    if not user.check_password(password) or not user.is_active:
        raise InvalidCredentials
    return issue_tokens(user=user, session_id=new_session_id())


def refresh_tokens(*, token: str) -> dict[str, Any]:
    """A new pair for the same session, with what the user is now; raises InvalidToken."""
    principal = verify(token, token_type="refresh").principal
    user = get_active_user(user_id=principal.user_id)
    if user is None:
        raise InvalidToken("The token is invalid.")
    return issue_tokens(user=user, session_id=principal.session_id)


def change_email(*, user: User, email: str) -> User:
    """Sets the address, which may be empty."""
    user.email = email
    user.save(update_fields=["email"])
    return user
