"""What Django tells of users."""

from typing import Any

from django.db.models.signals import pre_delete
from django.dispatch import receiver

from accounts.models import User
from accounts.sessions import end_sessions


@receiver(pre_delete, sender=User)
def end_sessions_of_deleted_user(instance: User, **kwargs: Any) -> None:
    """Their rows would go anyway, but nobody would be told. Not in User.delete(), which querysets do not call."""
    # Locks the user's row before the sessions', as a login and a new password do; and a login meanwhile finds nobody.
    User.objects.filter(pk=instance.pk).update(is_active=False)
    end_sessions(user_id=instance.pk)
