"""Reads."""

from accounts.users.models import User


def get_active_user(*, user_id: int) -> User | None:
    """The user of this id; None where there is none or the account is not active."""
    return User.objects.filter(id=user_id, is_active=True).first()
