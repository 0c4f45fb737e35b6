"""The table of attempts to guess passwords."""

from django.db import models


class AttemptCount(models.Model):
    """How many attempts at passwords there were lately, under one of the keys of accounts.credentials.lockout.

    Each rule has its own use of the columns. A row that has expired says nothing, and is removed when others come.
    """

    key = models.CharField(primary_key=True, max_length=64)
    failures = models.PositiveIntegerField()
    until = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key
