"""Reads."""

from django.utils import timezone

from accounts.sessions.models import Session


def list_sessions(*, user_id: int) -> list[Session]:
    """The user's sessions that have not expired, the one used last first."""
    return list(Session.objects.filter(user_id=user_id, expires_at__gt=timezone.now()).order_by("-rotated_at", "-id"))
