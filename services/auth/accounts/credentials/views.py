"""The view that changes a password: it parses, calls one service function and renders."""

import uuid

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.credentials.serializers import PasswordSerializer
from accounts.credentials.services import InvalidCredentials, change_password
from accounts.users.views import current_user
from servicekit.http.views import APIView
from servicekit.process.client_address import client_address
from servicekit.tokens.authentication import principal


class PasswordView(APIView):
    """POST /api/auth/password."""

    def post(self, request: Request) -> Response:
        """Change the caller's password and end the caller's other sessions."""
        user = current_user(request)
        serializer = PasswordSerializer(data=request.data, context={"user": user})
        serializer.is_valid(raise_exception=True)
        try:
            change_password(
                user=user,
                session_id=uuid.UUID(principal(request).session_id),
                client=client_address(request.META),
                **serializer.validated_data,
            )
        except InvalidCredentials:
            raise ValidationError({"current": ["This is not the current password."]}) from None
        return Response(status=204)
