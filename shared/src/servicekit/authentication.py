"""Bearer tokens (RFC 6750) for Django REST framework, and the permissions that need nothing but the token."""

from contextlib import suppress
from ipaddress import ip_address
from typing import Any, cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from servicekit.jwt import InvalidToken, Principal, verify
from servicekit.revocation import is_ended

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


class IsStaff(BasePermission):
    """Lets a request through when its token says that the user is staff."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user: Any = request.user
        return isinstance(user, Principal) and user.is_staff


def client_address(request: Request) -> str:
    """The address that the gateway saw, which overwrites what the client sends under this name; empty if unknown."""
    for name in ("HTTP_X_FORWARDED_FOR", "REMOTE_ADDR"):
        with suppress(ValueError):
            return str(ip_address(request.META.get(name, "")))
    return ""
