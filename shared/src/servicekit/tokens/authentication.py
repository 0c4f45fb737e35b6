"""Bearer tokens (RFC 6750) for Django REST framework."""

from typing import cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from servicekit.tokens.revocation import is_ended
from servicekit.tokens.verifier import InvalidToken, Principal, verify

CHALLENGE = 'Bearer realm="api"'


class BearerAuthentication(BaseAuthentication):
    """Yields ``(Principal, None)`` for a valid ``Authorization: Bearer <access token>``.

    No header: ``None``, which a view that is not public answers by 401. Anything else in the header: 401.
    """

    def authenticate(self, request: HttpRequest | Request) -> tuple[Principal, None] | None:
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise AuthenticationFailed("The Authorization header must be: Bearer <access token>.")
        try:
            caller = verify(token.strip(), token_type="access").principal
        except InvalidToken as error:
            raise AuthenticationFailed(str(error)) from None
        if is_ended(caller.session_id):
            raise AuthenticationFailed("The session has ended.")
        return caller, None

    def authenticate_header(self, request: HttpRequest | Request) -> str:
        return CHALLENGE


def principal(request: Request) -> Principal:
    """Who makes the request, in a view that is not public."""
    return cast(Principal, request.user)
