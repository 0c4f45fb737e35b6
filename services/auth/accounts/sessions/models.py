"""The tables of sessions and of ended sessions."""

import uuid

from django.db import models

from accounts.fields import HexUUIDField
from accounts.users.models import User

USER_AGENT_MAXIMUM_UNITS = 200


class Session(models.Model):
    """One login: the state that its refresh tokens share, and the details that its user sees.

    A refresh token is valid while its ``jti`` equals ``refresh_jti``. The previous one is kept so that a client that
    lost the response can retry, and so that the late use of a stolen token is detected.
    """

    id = HexUUIDField(primary_key=True, default=uuid.uuid4)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    created_at = models.DateTimeField()
    # When the current refresh token was issued: at login or at the last rotation.
    rotated_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    refresh_jti = models.CharField(max_length=32)
    # Empty before the first rotation.
    previous_jti = models.CharField(max_length=32)
    user_agent = models.CharField(max_length=USER_AGENT_MAXIMUM_UNITS)
    # The client's IP address as reported by the gateway, IPv4 or IPv6.
    address = models.CharField(max_length=45)

    def __str__(self) -> str:
        return str(self.id)


class EndedSession(models.Model):
    """A session that ended before its last access token expires, kept so that it can be announced repeatedly."""

    session_id = HexUUIDField(primary_key=True)
    # When that token expires, by the clock of the server that issued it.
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.session_id)
