"""How the admin finds out who somebody is."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.credentials.services import InvalidCredentials, check_credentials
from accounts.users.models import User
from accounts.users.serializers import LONGEST_TYPED_NAME


class CountingBackend(ModelBackend):
    """Takes the passwords that the API takes, as often as it does: one guesser has no more guesses for two doors."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The active user; None for wrong credentials. Raises TooManyRequests or ServiceUnavailable."""
        if request is None or username is None or password is None or len(username) > LONGEST_TYPED_NAME:
            return None
        # Not X-Forwarded-For: no gateway stands before the admin, so that header is whatever the client makes of it.
        address = request.META["REMOTE_ADDR"]
        try:
            return check_credentials(username=username, password=password, address=address)
        except InvalidCredentials:
            return None
