"""Permissions that depend only on the token."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from servicekit.tokens.verifier import Principal


class IsStaff(BasePermission):
    """Allows only requests whose token identifies the user as staff."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user: Any = request.user
        return isinstance(user, Principal) and user.is_staff
