"""Views for logins, tokens and sessions: each parses, calls one service function and renders."""

import uuid

from django.http import Http404
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.credentials.services import InvalidCredentials
from accounts.sessions.selectors import is_current, list_sessions
from accounts.sessions.serializers import (
    LoginSerializer,
    LogoutSerializer,
    RefreshSerializer,
    VerifySerializer,
    represent_session,
)
from accounts.sessions.services import end_sessions, log_in, log_out, rotate_session
from accounts.users.views import PublicAPIView
from servicekit.http.views import APIView
from servicekit.process.client_address import client_address
from servicekit.tokens.authentication import principal, refusal, session_ended
from servicekit.tokens.verifier import InvalidToken, verify_any


class TokenView(PublicAPIView):
    """POST /api/auth/token."""

    def post(self, request: Request) -> Response:
        """Return a pair of tokens for a username and password."""
        serializer = LoginSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            return Response(log_in(**serializer.validated_data, **_client(request)))
        except InvalidCredentials:
            raise AuthenticationFailed("No active account has this username and password.") from None


class TokenRefreshView(PublicAPIView):
    """POST /api/auth/token/refresh."""

    def post(self, request: Request) -> Response:
        """Return a new pair of tokens for a refresh token."""
        serializer = RefreshSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            return Response(rotate_session(token=serializer.validated_data["refresh"], **_client(request)))
        except InvalidToken as error:
            raise refusal(error, request) from None


class TokenVerifyView(PublicAPIView):
    """POST /api/auth/token/verify."""

    def post(self, request: Request) -> Response:
        """Return an empty object for a valid token of either type, 401 for any other."""
        serializer = VerifySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            claims = verify_any(serializer.validated_data["token"])
        except InvalidToken as error:
            raise refusal(error, request) from None
        if not is_current(claims=claims):
            raise session_ended()
        return Response({})


class LogoutView(PublicAPIView):
    """POST /api/auth/logout."""

    def post(self, request: Request) -> Response:
        """End the session of a refresh token; also 204 if it has already ended or the token is invalid."""
        serializer = LogoutSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        log_out(token=serializer.validated_data["refresh"], client=client_address(request.META))
        return Response(status=204)


class SessionListView(APIView):
    """GET and DELETE /api/auth/sessions."""

    def get(self, request: Request) -> Response:
        """Return the caller's sessions, most recently used first."""
        current = _session_id(request)
        sessions = list_sessions(user_id=principal(request).user_id)
        return Response([represent_session(session, current=session.id == current) for session in sessions])

    def delete(self, request: Request) -> Response:
        """Log the caller out everywhere, including this session."""
        end_sessions(
            user_id=principal(request).user_id, reason="logout everywhere", client=client_address(request.META)
        )
        return Response(status=204)


class SessionDetailView(APIView):
    """DELETE /api/auth/sessions/{id}."""

    def delete(self, request: Request, session_id: str) -> Response:
        """End one of the caller's sessions; another user's session is the same 404 as a missing one."""
        ended = end_sessions(
            user_id=principal(request).user_id,
            session_id=uuid.UUID(session_id),
            reason="revoked",
            client=client_address(request.META),
        )
        if not ended:
            raise Http404
        return Response(status=204)


def _client(request: Request) -> dict[str, str]:
    """Return the details of the client that a session stores."""
    return {"user_agent": request.headers.get("User-Agent", ""), "client": client_address(request.META)}


def _session_id(request: Request) -> uuid.UUID:
    return uuid.UUID(principal(request).session_id)
