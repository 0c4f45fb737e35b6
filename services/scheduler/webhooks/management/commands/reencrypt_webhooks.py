"""``manage.py reencrypt_webhooks``: encrypt the secrets of webhooks with the first key of WEBHOOK_SECRET_KEY."""

from typing import Any

from cryptography.fernet import InvalidToken
from django.core.management.base import BaseCommand, CommandError

from webhooks.services import reencrypt_secrets


class Command(BaseCommand):
    """Encrypt all secrets with a new first key, so that the old key can be removed."""

    help = "Encrypt the secrets of webhooks with the first key of WEBHOOK_SECRET_KEY."

    def handle(self, *args: Any, **options: Any) -> None:
        """Reencrypt the secrets; raises CommandError if none of the keys decrypts a secret."""
        try:
            count = reencrypt_secrets()
        except InvalidToken:
            raise CommandError(
                "WEBHOOK_SECRET_KEY: none of its keys decrypts one of the secrets; add the key that encrypted it"
            ) from None
        self.stdout.write(f"{count} webhooks are encrypted with the first key")
