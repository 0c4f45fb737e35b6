"""The rules for usernames."""

import unicodedata

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError

USERNAME_MAXIMUM_UNITS = 150
TOO_LONG = f"Must not be longer than {USERNAME_MAXIMUM_UNITS} UTF-16 code units."
BAD_CHARACTERS = "May contain only letters, digits and @ . + - _."


def normalize_username(username: str) -> str:
    """Return the normalised form of a name (NFKC, case-folded, trimmed), the same for all equivalent spellings.

    SQL Server's usual collation ignores case and trailing spaces in comparisons and SQLite does not, so names are
    stored in a form that compares alike on both. The order of the steps is Unicode's (chapter 3.13, D146), since
    folding can undo the normalisation.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())
    return folded.strip()


def validated_username(username: str) -> str:
    """Return the normalised name; raises ValidationError unless it is 1-150 UTF-16 code units of allowed characters."""
    username = normalize_username(username)
    if len(username.encode("utf-16-le")) // 2 > USERNAME_MAXIMUM_UNITS:
        raise ValidationError(TOO_LONG, code="too_long")
    UnicodeUsernameValidator(message=BAD_CHARACTERS)(username)
    return username
