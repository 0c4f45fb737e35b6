"""Ends the sessions of users whose rights change, whoever changes them: a service, the admin, a management command.

Only QuerySet.update() goes around this.
"""

from typing import Any

from django.db.models.signals import post_save, pre_delete
from django.dispatch import receiver

from accounts.models import User
from accounts.sessions import end_sessions


@receiver(post_save, sender=User)
def end_sessions_of_changed_user(
    instance: User, *, created: bool, update_fields: frozenset[str] | None, **kwargs: Any
) -> None:
    """A password that is saved by itself ends nothing: that is a hash's upgrade, or a service that ends the others."""
    if created or update_fields == frozenset({"password"}):
        return
    stored = getattr(instance, "stored", {})
    if any(getattr(instance, name) != value for name, value in stored.items()):
        end_sessions(user_id=instance.pk)


@receiver(pre_delete, sender=User)
def end_sessions_of_deleted_user(instance: User, **kwargs: Any) -> None:
    """Their rows would go anyway, but the services would not hear of it."""
    end_sessions(user_id=instance.pk)
