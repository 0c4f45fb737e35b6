"""Queries for sessions and their users."""

from django.db.models import Exists
from django.utils import timezone

from accounts.sessions.models import EndedSession, Session
from accounts.users.models import User
from servicekit.tokens.verifier import Claims, Principal


def list_sessions(*, user_id: int) -> list[Session]:
    """Return the user's unexpired sessions, most recently used first."""
    return list(Session.objects.filter(user_id=user_id, expires_at__gt=timezone.now()).order_by("-rotated_at", "-id"))


def get_caller(*, principal: Principal) -> User | None:
    """Return the user of a valid access token; None if the session has ended or the user is not active."""
    ended = EndedSession.objects.filter(session_id=principal.session_id)
    return User.objects.filter(~Exists(ended), id=principal.user_id, is_active=True).first()


def is_current(*, claims: Claims) -> bool:
    """Return whether a valid token's session has not ended and, for a refresh token, whether it is the current one."""
    session_id = claims.principal.session_id
    if claims.token_type == "access":  # noqa: S105 - no password
        return not EndedSession.objects.filter(session_id=session_id).exists()
    return Session.objects.filter(id=session_id, refresh_jti=claims.jti).exists()
