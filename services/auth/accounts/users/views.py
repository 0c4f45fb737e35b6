"""Views to register, and to read and change one's own account: each parses, calls one service function and renders."""

from typing import cast

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.users.models import User
from accounts.users.serializers import ProfileSerializer, RegisterSerializer, represent_user
from accounts.users.services import UsernameTaken, change_email, register_user
from servicekit.http.views import APIView
from servicekit.process.client_address import client_address
from servicekit.tokens.authentication import CHALLENGE


class PublicAPIView(APIView):
    """Base of views for clients without a token; ignores an Authorization header."""

    authentication_classes = ()
    permission_classes = ()

    def get_authenticate_header(self, request: Request) -> str:
        """Return the challenge; without one, Django REST framework responds with 403 to wrong credentials."""
        return CHALLENGE


class RegisterView(PublicAPIView):
    """POST /api/auth/register."""

    def post(self, request: Request) -> Response:
        """Register a user."""
        serializer = RegisterSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            user = register_user(**serializer.validated_data, client=client_address(request.META))
        except UsernameTaken:
            raise ValidationError({"username": ["This name is taken."]}) from None
        return Response(represent_user(user), status=201, headers={"Location": "/api/auth/me"})


class MeView(APIView):
    """GET and PATCH /api/auth/me."""

    def get(self, request: Request) -> Response:
        """Return the caller."""
        return Response(represent_user(current_user(request)))

    def patch(self, request: Request) -> Response:
        """Change the caller's e-mail address."""
        serializer = ProfileSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = change_email(user=current_user(request), **serializer.validated_data)
        return Response(represent_user(user))


def current_user(request: Request) -> User:
    """Return the caller's row, which accounts.sessions.authentication has loaded."""
    return cast(User, request.auth)
