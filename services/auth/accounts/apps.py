"""The app's declaration."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users and their tokens. Not called auth: that label is Django's own."""

    name = "accounts"

    def ready(self) -> None:
        """Connects the receivers."""
        from accounts import receivers  # noqa: F401
