"""Helpers to send requests as a user."""

from django.utils import timezone

from accounts.sessions.models import Session
from accounts.sessions.services import LIFETIME
from accounts.users.models import User
from servicekit.testing import make_token


def begin_session_of(user: User) -> Session:
    """Create a session that starts now, and return it."""
    now = timezone.now()
    return Session.objects.create(
        user=user,
        created_at=now,
        rotated_at=now,
        expires_at=now + LIFETIME,
        refresh_jti="0" * 32,
        previous_jti="",
        user_agent="",
        address="192.0.2.1",
    )


def bearer(user: User, *, session: Session | None = None) -> dict[str, str]:
    """Return the headers of a request by the user, in the given session or in a new one."""
    session = session or begin_session_of(user)
    return {"Authorization": f"Bearer {make_token(user.pk, is_staff=user.is_staff, sid=str(session.id))}"}
