"""The app's configuration."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users and their tokens. Not called auth, which is the label of Django's own app."""

    name = "accounts"

    def ready(self) -> None:
        """Connect the signal receivers."""
        from accounts.sessions import receivers  # noqa: F401
