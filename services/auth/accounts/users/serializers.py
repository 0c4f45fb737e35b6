"""Serializers that parse requests about users, and the function that renders a user."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from accounts.users.models import User
from accounts.users.names import USERNAME_MAXIMUM_UNITS, validated_username
from accounts.users.validators import LONGEST_PASSWORD, validated_password
from servicekit.http.serializers import StrictCharField, StrictSerializer
from servicekit.http.times import iso_utc

# A name can be longer as typed than in its normalised form.
LONGEST_TYPED_NAME = 4 * USERNAME_MAXIMUM_UNITS


class NewUsernameField(StrictCharField):
    """A username: after normalisation 1-150 UTF-16 code units, letters and digits of any script, and ``@.+-_``."""

    def to_internal_value(self, data: Any) -> str:
        try:
            return validated_username(super().to_internal_value(data))
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.messages) from None


class PasswordField(StrictCharField):
    """A password, accepted as typed, spaces included."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, max_length=LONGEST_PASSWORD, **kwargs)


class NewPasswordField(PasswordField):
    """A new password, long enough as typed; all other rules apply to the form that is hashed."""

    # The wording of Django's own validator.
    default_error_messages = {
        "min_length": "This password is too short. It must contain at least {min_length} characters.",
    }

    def __init__(self) -> None:
        super().__init__(min_length=settings.SHORTEST_PASSWORD)


class StrictEmailField(serializers.EmailField, StrictCharField):
    """An e-mail address, or an empty string for none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_blank=True, max_length=254, **kwargs)


class RegisterSerializer(StrictSerializer):
    """The body of POST /api/auth/register."""

    username = NewUsernameField()
    password = NewPasswordField()
    email = StrictEmailField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        user = User(username=attrs["username"], email=attrs.get("email", ""))
        return attrs | {"password": check_new_password(attrs["password"], field="password", user=user)}


class ProfileSerializer(StrictSerializer):
    """The body of PATCH /api/auth/me."""

    email = StrictEmailField()


def check_new_password(password: str, *, field: str, user: User) -> str:
    """Return the password in the form that is hashed; raises ValidationError for the field."""
    try:
        return validated_password(password, user=user)
    except DjangoValidationError as error:
        raise serializers.ValidationError({field: error.messages}) from None


def represent_user(user: User) -> dict[str, Any]:
    """Return the API's representation of a user, for that user."""
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "is_staff": user.is_staff,
        "date_joined": iso_utc(user.date_joined),
    }
