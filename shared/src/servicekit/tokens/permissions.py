"""The permissions that need only the token."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from servicekit.tokens.verifier import Principal


class IsStaff(BasePermission):
    """Allow requests whose token says that the user is staff."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user: Any = request.user
        return isinstance(user, Principal) and user.is_staff
