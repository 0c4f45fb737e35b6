"""The rules for passwords, in addition to Django's validators."""

import unicodedata

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.password_validation import MinimumLengthValidator, validate_password
from django.core.exceptions import ValidationError

from accounts.users.names import normalize_username

SHORTEST_NAME = 3
LONGEST_PASSWORD = 128  # A longer password costs hashing time and adds no security.
# Characters that are printable by category and yet blank: the Braille blank and the Hangul fillers.
BLANKS = "\u2800\u115f\u1160"


def normalize_password(password: str) -> str:
    """Return the form that is hashed, since keyboards encode é in two ways (NIST SP 800-63B, 3.1.1)."""
    return unicodedata.normalize("NFKC", password)


def validated_password(password: str, *, user: AbstractBaseUser) -> str:
    """Return the password in the form that is hashed; raises ValidationError.

    It must be long enough as typed; all other rules apply to the form that is hashed.
    """
    MinimumLengthValidator(settings.SHORTEST_PASSWORD).validate(password)
    password = normalize_password(password)
    validate_password(password, user)  # type: ignore[arg-type] # accepts any user model
    return password


class VisibleValidator:
    """Reject a password without visible characters."""

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raise ValidationError if no character is visible."""
        if not any(c.isprintable() and not c.isspace() and c not in BLANKS for c in password):
            raise ValidationError("Must contain visible characters.", code="password_invisible")

    def get_help_text(self) -> str:
        """Return the rule, for the admin's forms."""
        return "Your password must contain visible characters."


class MaximumLengthValidator:
    """Reject, wherever passwords are set, one that would be too long for login."""

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raise ValidationError if the password is too long."""
        if len(password) > LONGEST_PASSWORD:
            raise ValidationError(self.get_help_text(), code="password_too_long")

    def get_help_text(self) -> str:
        """Return the rule, for the admin's forms."""
        return f"The password must not have more than {LONGEST_PASSWORD} characters."


class OwnNameValidator:
    """Reject a password that contains the username or is part of it, in any spelling: Ada12345 for ada.

    Django's UserAttributeSimilarityValidator also compares lengths, and accepts a short name in a long password. Names
    of one or two characters are not checked: too many good passwords contain them.
    """

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raise ValidationError if either contains the other."""
        name = normalize_username(user.get_username()) if user else ""
        spelled = normalize_username(password)
        if len(name) >= SHORTEST_NAME and (name in spelled or spelled in name):
            raise ValidationError("The password must not contain the username or be part of it.", code="own_name")

    def get_help_text(self) -> str:
        """Return the rule, for the admin's forms."""
        return "Your password must not contain your username or be part of it."
