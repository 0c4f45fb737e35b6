"""HTTP: parse, one domain call, render."""

import uuid

from django.http import Http404
from rest_framework.exceptions import AuthenticationFailed, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from accounts.selectors import get_active_user, list_sessions
from accounts.serializers import (
    LoginSerializer,
    LogoutSerializer,
    PasswordSerializer,
    ProfileSerializer,
    RefreshSerializer,
    RegisterSerializer,
    VerifySerializer,
    represent_session,
    represent_user,
)
from accounts.services import (
    InvalidCredentials,
    UsernameTaken,
    change_email,
    change_password,
    log_in,
    register_user,
)
from accounts.sessions import end_sessions, is_current, log_out, rotate_session
from servicekit.authentication import CHALLENGE, client_address, principal
from servicekit.jwt import InvalidToken, verify_any
from servicekit.views import APIView


class PublicAPIView(APIView):
    """For those who have no token yet: an Authorization header is not even looked at."""

    authentication_classes = ()
    permission_classes = ()

    def get_authenticate_header(self, request: Request) -> str:
        """Without it Django REST framework would answer 403 where credentials are wrong."""
        return CHALLENGE


class RegisterView(PublicAPIView):
    """POST /api/auth/register."""

    def post(self, request: Request) -> Response:
        """Makes a user."""
        serializer = RegisterSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            user = register_user(**serializer.validated_data)
        except UsernameTaken:
            raise ValidationError({"username": ["This name is taken."]}) from None
        return Response(represent_user(user), status=201, headers={"Location": "/api/auth/me"})


class TokenView(PublicAPIView):
    """POST /api/auth/token."""

    def post(self, request: Request) -> Response:
        """A pair of tokens for a user name and a password."""
        serializer = LoginSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            return Response(log_in(**serializer.validated_data, **_client(request)))
        except InvalidCredentials:
            raise AuthenticationFailed("No active account has this user name and password.") from None


class TokenRefreshView(PublicAPIView):
    """POST /api/auth/token/refresh."""

    def post(self, request: Request) -> Response:
        """A new pair of tokens for a refresh token."""
        serializer = RefreshSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            return Response(rotate_session(token=serializer.validated_data["refresh"], **_client(request)))
        except InvalidToken as error:
            raise AuthenticationFailed(str(error)) from None


class TokenVerifyView(PublicAPIView):
    """POST /api/auth/token/verify."""

    def post(self, request: Request) -> Response:
        """An empty object for a valid token of either type, 401 for any other."""
        serializer = VerifySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            claims = verify_any(serializer.validated_data["token"])
        except InvalidToken as error:
            raise AuthenticationFailed(str(error)) from None
        if not is_current(claims):
            raise AuthenticationFailed("The session has ended.")
        return Response({})


class LogoutView(PublicAPIView):
    """POST /api/auth/logout."""

    def post(self, request: Request) -> Response:
        """Ends the session of a refresh token; 204 for one that has ended or is no token as well."""
        serializer = LogoutSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        log_out(token=serializer.validated_data["refresh"])
        return Response(status=204)


class PasswordView(APIView):
    """POST /api/auth/password."""

    def post(self, request: Request) -> Response:
        """Changes the caller's password and ends the caller's other sessions."""
        user = _caller(request)
        serializer = PasswordSerializer(data=request.data, context={"user": user})
        serializer.is_valid(raise_exception=True)
        try:
            change_password(
                user=user,
                session_id=_session_id(request),
                address=client_address(request),
                **serializer.validated_data,
            )
        except InvalidCredentials:
            raise ValidationError({"current": ["This is not the current password."]}) from None
        return Response(status=204)


class SessionListView(APIView):
    """GET and DELETE /api/auth/sessions."""

    def get(self, request: Request) -> Response:
        """The caller's sessions, the one used last first."""
        current = _session_id(request)
        sessions = list_sessions(user_id=principal(request).user_id)
        return Response([represent_session(session, current=session.id == current) for session in sessions])

    def delete(self, request: Request) -> Response:
        """Logs the caller out everywhere, here included."""
        end_sessions(user_id=principal(request).user_id)
        return Response(status=204)


class SessionDetailView(APIView):
    """DELETE /api/auth/sessions/{id}."""

    def delete(self, request: Request, session_id: str) -> Response:
        """Ends a session of the caller's own; another user's is the same 404 as none."""
        if not end_sessions(user_id=principal(request).user_id, session_id=uuid.UUID(session_id)):
            raise Http404
        return Response(status=204)


class MeView(APIView):
    """GET and PATCH /api/auth/me."""

    def get(self, request: Request) -> Response:
        """The caller."""
        return Response(represent_user(_caller(request)))

    def patch(self, request: Request) -> Response:
        """Changes the caller's address."""
        serializer = ProfileSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = change_email(user=_caller(request), **serializer.validated_data)
        return Response(represent_user(user))


def _client(request: Request) -> dict[str, str]:
    """What a session remembers of the client."""
    return {"user_agent": request.headers.get("User-Agent", ""), "address": client_address(request)}


def _session_id(request: Request) -> uuid.UUID:
    return uuid.UUID(principal(request).session_id)


def _caller(request: Request) -> User:
    """The user that the token speaks of; 401 where the account was deleted or made inactive since."""
    user = get_active_user(user_id=principal(request).user_id)
    if user is None:
        raise AuthenticationFailed("The token's user no longer exists or is not active.")
    return user
