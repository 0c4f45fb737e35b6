"""The table of sessions."""

import uuid

from django.db import models

from accounts.fields import HexUUIDField
from accounts.users.models import User

USER_AGENT_MAXIMUM_UNITS = 200


class Session(models.Model):
    """One login: what its refresh tokens have in common, and what their user sees of it.

    A refresh token is good while its ``jti`` is the row's. The one before is kept, so that a client whose answer was
    lost can ask again, and one that was stolen and used late shows.
    """

    id = HexUUIDField(primary_key=True, default=uuid.uuid4)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    created_at = models.DateTimeField()
    # When the current refresh token was issued: at the login, or at the last rotation.
    rotated_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    refresh_jti = models.CharField(max_length=32)
    # Empty before the first rotation.
    previous_jti = models.CharField(max_length=32)
    user_agent = models.CharField(max_length=USER_AGENT_MAXIMUM_UNITS)
    # Of the client, as the gateway saw it: IPv4 or IPv6.
    address = models.CharField(max_length=45)

    def __str__(self) -> str:
        return str(self.id)
