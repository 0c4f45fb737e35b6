"""The rules for passwords: Django's validators, and those that it does not have."""

import unicodedata

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.password_validation import MinimumLengthValidator, validate_password
from django.core.exceptions import ValidationError

from accounts.users.names import normalize_username

SHORTEST_NAME = 3
LONGEST_PASSWORD = 128  # Hashing takes time and memory; a longer one adds no safety.
# Printable by their category, and yet without a shape: the Braille blank and the Hangul fillers.
BLANKS = "\u2800\u115f\u1160"


def normalize_password(password: str) -> str:
    """Return the one spelling that is hashed: keyboards encode é in two ways (NIST SP 800-63B, 3.1.1)."""
    return unicodedata.normalize("NFKC", password)


def validated_password(password: str, *, user: AbstractBaseUser) -> str:
    """Return the password in the spelling that is hashed; raises ValidationError.

    It must be long enough as it was typed; all other rules apply to the spelling that is hashed.
    """
    MinimumLengthValidator(settings.SHORTEST_PASSWORD).validate(password)
    password = normalize_password(password)
    validate_password(password, user)  # type: ignore[arg-type] # any user will do
    return password


class VisibleValidator:
    """Refuse a password of only spaces and characters without a shape: its user could not see it."""

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raise ValidationError."""
        if not any(c.isprintable() and not c.isspace() and c not in BLANKS for c in password):
            raise ValidationError("Must hold characters that can be seen.", code="password_invisible")

    def get_help_text(self) -> str:
        """Explain the rule in the admin's forms."""
        return "Your password must hold characters that can be seen."


class MaximumLengthValidator:
    """Refuse a password that login would not accept, wherever it is set."""

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raise ValidationError."""
        if len(password) > LONGEST_PASSWORD:
            raise ValidationError(self.get_help_text(), code="password_too_long")

    def get_help_text(self) -> str:
        """Explain the rule in the admin's forms."""
        return f"The password must not have more than {LONGEST_PASSWORD} characters."


class OwnNameValidator:
    """Refuse a password that holds the user's name, or is a part of it, in any spelling: Ada12345 for ada.

    Django's UserAttributeSimilarityValidator also compares lengths, and accepts a short name in a long password. Names
    of one or two characters are in too many good passwords to be looked for.
    """

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raise ValidationError."""
        name = normalize_username(user.get_username()) if user else ""
        spelled = normalize_username(password)
        if len(name) >= SHORTEST_NAME and (name in spelled or spelled in name):
            raise ValidationError("The password must not hold the username or be a part of it.", code="own_name")

    def get_help_text(self) -> str:
        """Explain the rule in the admin's forms."""
        return "Your password must not hold your username or be a part of it."
