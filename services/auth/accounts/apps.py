"""The app's declaration."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users and their tokens. Not called auth: that label is Django's own."""

    name = "accounts"

    def ready(self) -> None:
        """Connect the receivers."""
        from accounts.sessions import receivers  # noqa: F401
