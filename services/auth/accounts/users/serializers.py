"""What clients may send, and what they get."""

import unicodedata
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from accounts.users.models import USERNAME_MAXIMUM_UNITS, User
from accounts.users.validators import LONGEST_PASSWORD
from servicekit.http.serializers import StrictCharField, StrictSerializer
from servicekit.http.times import iso_utc

# As it is typed, a name can be longer than the one that it stands for.
LONGEST_TYPED_NAME = 4 * USERNAME_MAXIMUM_UNITS


class NewUsernameField(StrictCharField):
    """1–150 UTF-16 units after normalisation: letters and digits of any script, and @ . + - _"""

    default_error_messages = {
        "characters": "May hold letters, digits and @ . + - _ only.",
        "too_long": f"Must not be longer than {USERNAME_MAXIMUM_UNITS} UTF-16 code units.",
    }

    def to_internal_value(self, data: Any) -> str:
        username = User.normalize_username(super().to_internal_value(data))
        if len(username.encode("utf-16-le")) // 2 > USERNAME_MAXIMUM_UNITS:
            self.fail("too_long")
        try:
            UnicodeUsernameValidator()(username)
        except DjangoValidationError:
            self.fail("characters")
        return username


class PasswordField(StrictCharField):
    """Taken as it is, spaces included."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, max_length=LONGEST_PASSWORD, **kwargs)


class NewPasswordField(PasswordField):
    """As long as it is typed; all other rules look at the spelling that is stored."""

    # As Django's own validator says it of that spelling.
    default_error_messages = {
        "min_length": "This password is too short. It must contain at least {min_length} characters.",
    }

    def __init__(self) -> None:
        super().__init__(min_length=settings.SHORTEST_PASSWORD)


class StrictEmailField(serializers.EmailField, StrictCharField):
    """An address, or an empty string for none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_blank=True, max_length=254, **kwargs)


class RegisterSerializer(StrictSerializer):
    """The body of POST /api/auth/register."""

    username = NewUsernameField()
    password = NewPasswordField()
    email = StrictEmailField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        user = User(username=attrs["username"], email=attrs.get("email", ""))
        return attrs | {"password": validated_password(attrs["password"], field="password", user=user)}


class ProfileSerializer(StrictSerializer):
    """The body of PATCH /api/auth/me."""

    email = StrictEmailField()


def validated_password(password: str, *, field: str, user: User) -> str:
    """In the one spelling that is stored."""
    password = unicodedata.normalize("NFKC", password)
    try:
        validate_password(password, user)
    except DjangoValidationError as error:
        raise serializers.ValidationError({field: error.messages}) from None
    return password


def represent_user(user: User) -> dict[str, Any]:
    """A user as that user sees it."""
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "is_staff": user.is_staff,
        "date_joined": iso_utc(user.date_joined),
    }
