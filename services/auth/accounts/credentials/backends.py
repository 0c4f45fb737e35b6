"""The authentication backend of the admin."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.credentials.services import InvalidCredentials, check_credentials
from accounts.users.models import User
from accounts.users.serializers import LONGEST_TYPED_NAME


class CountingBackend(ModelBackend):
    """Check passwords under the same counts as the API, so that a second login page allows no more guesses."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Return the active user, or None for wrong credentials; raises TooManyRequests or ServiceUnavailable."""
        if request is None or username is None or password is None or len(username) > LONGEST_TYPED_NAME:
            return None
        try:
            return check_credentials(username=username, password=password, client=admin_client(request))
        except InvalidCredentials:
            return None


def admin_client(request: HttpRequest) -> str:
    """Return the client's IP address; not from X-Forwarded-For, since the admin is not behind the gateway."""
    address: str = request.META["REMOTE_ADDR"]
    return address
