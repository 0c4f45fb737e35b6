"""Receivers of the signals about users; connected when the app is ready, so that no caller can forget them."""

import uuid
from typing import Any

from django.db import transaction
from django.db.models.signals import pre_delete
from django.dispatch import receiver

from accounts.security_log import CREDENTIALS_CHANGED, log_event
from accounts.sessions.services import end_sessions
from accounts.users.models import User
from accounts.users.signals import credentials_changed


@receiver(credentials_changed, sender=User)
def end_sessions_of_changed_user(
    user_id: int,
    changed: list[str],
    except_session_id: uuid.UUID | None = None,
    client: str | None = None,
    **kwargs: Any,
) -> None:
    """End the sessions that were started with the old password or rights."""
    transaction.on_commit(lambda: log_event(CREDENTIALS_CHANGED, user_id=user_id, client=client, changed=changed))
    end_sessions(user_id=user_id, except_session_id=except_session_id, reason="credentials changed", client=client)


@receiver(pre_delete, sender=User)
def end_sessions_of_deleted_user(instance: User, **kwargs: Any) -> None:
    """End the sessions before their rows are deleted with the user, so that they are announced.

    A signal receiver, since querysets do not call User.delete().
    """
    # Lock the user's row first, as a login and a password change do; a concurrent login then finds no active user.
    User.objects.filter(pk=instance.pk).update(is_active=False)
    end_sessions(user_id=instance.pk, reason="user deleted")
