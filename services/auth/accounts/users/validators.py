"""Rules for passwords beyond Django's."""

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError

from accounts.users.models import User

SHORTEST_NAME = 3
LONGEST_PASSWORD = 128  # Hashing takes time and memory; a longer one adds no safety.
# Printable by their category, and without a shape: the Braille blank and the Hangul fillers.
BLANKS = "\u2800\u115f\u1160"


class VisibleValidator:
    """Refuses a password of nothing but spaces and characters without a shape: its user could not see it."""

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raises ValidationError."""
        if not any(c.isprintable() and not c.isspace() and c not in BLANKS for c in password):
            raise ValidationError("Must hold characters that can be seen.", code="password_invisible")

    def get_help_text(self) -> str:
        """For the admin's forms."""
        return "Your password must hold characters that can be seen."


class MaximumLengthValidator:
    """Refuses a password that no login would take, wherever it is set."""

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raises ValidationError."""
        if len(password) > LONGEST_PASSWORD:
            raise ValidationError(self.get_help_text(), code="password_too_long")

    def get_help_text(self) -> str:
        """For the admin's forms."""
        return f"The password must not have more than {LONGEST_PASSWORD} characters."


class OwnNameValidator:
    """Refuses a password that holds the user's name, or is a part of it, in any spelling: Ada12345 for ada.

    Django's UserAttributeSimilarityValidator compares lengths too, and lets a short name in a long password pass. Names
    of one and two characters are in too many good passwords to be looked for.
    """

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raises ValidationError."""
        name = User.normalize_username(user.get_username()) if user else ""
        spelled = User.normalize_username(password)
        if len(name) >= SHORTEST_NAME and (name in spelled or spelled in name):
            raise ValidationError("The password must not hold the username or be a part of it.", code="own_name")

    def get_help_text(self) -> str:
        """For the admin's forms."""
        return "Your password must not hold your username or be a part of it."
