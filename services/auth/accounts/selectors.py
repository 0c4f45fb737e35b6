"""Reads."""

from django.utils import timezone

from accounts.models import Session, User


def get_active_user(*, user_id: int) -> User | None:
    """The user of this id; None where there is none or the account is not active."""
    return User.objects.filter(id=user_id, is_active=True).first()


def list_sessions(*, user_id: int) -> list[Session]:
    """The user's sessions that have not expired, the one used last first."""
    return list(Session.objects.filter(user_id=user_id, expires_at__gt=timezone.now()).order_by("-rotated_at", "-id"))
