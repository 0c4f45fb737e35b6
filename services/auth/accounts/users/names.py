"""The rules for user names."""

import unicodedata

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError

USERNAME_MAXIMUM_UNITS = 150
TOO_LONG = f"Must not be longer than {USERNAME_MAXIMUM_UNITS} UTF-16 code units."
BAD_CHARACTERS = "May hold letters, digits and @ . + - _ only."


def normalize_username(username: str) -> str:
    """Return the one spelling of all names that look or sound the same: NFKC, caseless, trimmed.

    SQL Server's usual collation ignores case and trailing spaces when it compares, and SQLite ignores neither, so we
    store what is equal on both. The steps are in Unicode's own order (chapter 3.13, D146): folding can undo the normal
    form.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())
    return folded.strip()


def validated_username(username: str) -> str:
    """Return the normalised name; raises ValidationError unless it is 1-150 UTF-16 units of allowed characters."""
    username = normalize_username(username)
    if len(username.encode("utf-16-le")) // 2 > USERNAME_MAXIMUM_UNITS:
        raise ValidationError(TOO_LONG, code="too_long")
    UnicodeUsernameValidator(message=BAD_CHARACTERS)(username)
    return username
