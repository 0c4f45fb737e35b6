"""The table of password attempts."""

from django.db import models


class AttemptCount(models.Model):
    """The recent password attempts under one key of accounts.credentials.lockout.

    ``failures`` and ``until`` mean what the key's rule defines. An expired row is ignored, and deleted by later
    attempts.
    """

    key = models.CharField(primary_key=True, max_length=64)
    failures = models.PositiveIntegerField()
    until = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key
