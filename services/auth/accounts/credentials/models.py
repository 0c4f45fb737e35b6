"""The table of attempts to guess passwords."""

from django.db import models


class AttemptCount(models.Model):
    """The recent attempts at passwords under one key of accounts.credentials.lockout.

    Each rule has its own use of ``failures`` and ``until``. A row that has expired counts nothing, and is removed by
    later attempts.
    """

    key = models.CharField(primary_key=True, max_length=64)
    failures = models.PositiveIntegerField()
    until = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key
