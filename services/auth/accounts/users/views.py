"""HTTP: parse, one domain call, render."""

from rest_framework.exceptions import AuthenticationFailed, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.users.models import User
from accounts.users.selectors import get_active_user
from accounts.users.serializers import ProfileSerializer, RegisterSerializer, represent_user
from accounts.users.services import UsernameTaken, change_email, register_user
from servicekit.http.views import APIView
from servicekit.tokens.authentication import CHALLENGE, principal


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


class MeView(APIView):
    """GET and PATCH /api/auth/me."""

    def get(self, request: Request) -> Response:
        """The caller."""
        return Response(represent_user(current_user(request)))

    def patch(self, request: Request) -> Response:
        """Changes the caller's address."""
        serializer = ProfileSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = change_email(user=current_user(request), **serializer.validated_data)
        return Response(represent_user(user))


def current_user(request: Request) -> User:
    """The user that the token speaks of; 401 where the account was deleted or made inactive since."""
    user = get_active_user(user_id=principal(request).user_id)
    if user is None:
        raise AuthenticationFailed("The token's user no longer exists or is not active.")
    return user
