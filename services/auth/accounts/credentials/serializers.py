"""Serializers that parse requests about passwords."""

from typing import Any

from accounts.users.serializers import NewPasswordField, PasswordField, check_new_password
from servicekit.http.serializers import StrictSerializer


class PasswordSerializer(StrictSerializer):
    """The body of POST /api/auth/password; the context contains the user."""

    current = PasswordField()
    new = NewPasswordField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return attrs | {"new": check_new_password(attrs["new"], field="new", user=self.context["user"])}
