"""``manage.py reencrypt_webhooks``: encrypt the secrets of webhooks with the first key of WEBHOOK_SECRET_KEY."""

from typing import Any

from cryptography.fernet import InvalidToken
from django.core.management.base import BaseCommand, CommandError

from webhooks.services import reencrypt_secrets


class Command(BaseCommand):
    """Encrypt all secrets with a key that was put in front, so that the old one can be removed."""

    help = "Encrypt the secrets of webhooks with the first key of WEBHOOK_SECRET_KEY."

    def handle(self, *args: Any, **options: Any) -> None:
        """Reencrypt them; raises CommandError if none of the keys decrypts a secret."""
        try:
            count = reencrypt_secrets()
        except InvalidToken:
            raise CommandError("WEBHOOK_SECRET_KEY: none of its keys decrypts a secret; add the one that did") from None
        self.stdout.write(f"{count} webhooks are encrypted with the first key")
