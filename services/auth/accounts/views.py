"""HTTP: parse, one domain call, render."""

from rest_framework.exceptions import AuthenticationFailed, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from accounts.selectors import get_active_user
from accounts.serializers import (
    LoginSerializer,
    ProfileSerializer,
    RefreshSerializer,
    RegisterSerializer,
    VerifySerializer,
    represent_user,
)
from accounts.services import (
    InvalidCredentials,
    UsernameTaken,
    change_email,
    log_in,
    refresh_tokens,
    register_user,
)
from servicekit.authentication import CHALLENGE, principal
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
            return Response(log_in(**serializer.validated_data))
        except InvalidCredentials:
            raise AuthenticationFailed("No active account has this user name and password.") from None


class TokenRefreshView(PublicAPIView):
    """POST /api/auth/token/refresh."""

    def post(self, request: Request) -> Response:
        """A new pair of tokens for a refresh token."""
        serializer = RefreshSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            return Response(refresh_tokens(token=serializer.validated_data["refresh"]))
        except InvalidToken as error:
            raise AuthenticationFailed(str(error)) from None


class TokenVerifyView(PublicAPIView):
    """POST /api/auth/token/verify."""

    def post(self, request: Request) -> Response:
        """An empty object for a valid token of either type, 401 for any other."""
        serializer = VerifySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            verify_any(serializer.validated_data["token"])
        except InvalidToken as error:
            raise AuthenticationFailed(str(error)) from None
        return Response({})


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


def _caller(request: Request) -> User:
    """The user that the token speaks of; 401 where the account was deleted or made inactive since."""
    user = get_active_user(user_id=principal(request).user_id)
    if user is None:
        raise AuthenticationFailed("The token's user no longer exists or is not active.")
    return user
