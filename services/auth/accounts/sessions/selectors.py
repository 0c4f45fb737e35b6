"""Read sessions."""

from django.utils import timezone

from accounts.sessions.models import Session
from servicekit.tokens.verifier import Principal


def list_sessions(*, user_id: int) -> list[Session]:
    """Return the user's sessions that have not expired, the one used last first."""
    return list(Session.objects.filter(user_id=user_id, expires_at__gt=timezone.now()).order_by("-rotated_at", "-id"))


def get_session(*, principal: Principal) -> Session | None:
    """Return the session of a valid access token with its user; None if it has ended or the user is not active."""
    return (
        Session.objects.select_related("user")
        .filter(id=principal.session_id, user_id=principal.user_id, user__is_active=True)
        .first()
    )
