"""Serializers that parse requests about sessions, and the function that renders a session."""

from typing import Any

from accounts.sessions.models import Session
from accounts.users.serializers import LONGEST_TYPED_NAME, PasswordField
from servicekit.http.serializers import StrictCharField, StrictSerializer
from servicekit.http.times import iso_utc
from servicekit.tokens.verifier import MAXIMUM_TOKEN_LENGTH


class TokenField(StrictCharField):
    """A string of a token's possible length."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, max_length=MAXIMUM_TOKEN_LENGTH, **kwargs)


class LoginSerializer(StrictSerializer):
    """The body of POST /api/auth/token."""

    username = StrictCharField(max_length=LONGEST_TYPED_NAME)
    password = PasswordField()
    last_refresh = TokenField(required=False)


class RefreshSerializer(StrictSerializer):
    """The body of POST /api/auth/token/refresh."""

    refresh = TokenField()


class LogoutSerializer(RefreshSerializer):
    """The body of POST /api/auth/logout."""


class VerifySerializer(StrictSerializer):
    """The body of POST /api/auth/token/verify."""

    token = TokenField()


def represent_session(session: Session, *, current: bool) -> dict[str, Any]:
    """Return the API's representation of a session, for its user."""
    return {
        "id": str(session.id),
        "current": current,
        "created_at": iso_utc(session.created_at),
        "last_used_at": iso_utc(session.rotated_at),
        "expires_at": iso_utc(session.expires_at),
        "user_agent": session.user_agent,
        "address": session.address,
    }
