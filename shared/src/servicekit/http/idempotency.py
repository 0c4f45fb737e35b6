"""The Idempotency-Key header of draft-ietf-httpapi-idempotency-key-header."""

import re

from rest_framework.exceptions import ParseError

MAXIMUM_LENGTH = 255

# An RFC 9651 string, which the draft requires, and the bare value that most clients send.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(r"[!#-~][!-~]*")


def parse_idempotency_key(header: str | None) -> str | None:
    """Return the key, or None without the header.

    Raises ParseError (400) for anything but 1–255 printable ASCII characters. ``"a"`` and ``a`` are the same key.
    """
    if header is None:
        return None
    text = header.strip(" \t")
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if not 1 <= len(key) <= MAXIMUM_LENGTH or not (quoted or _BARE.fullmatch(key)):
        raise ParseError(f"Idempotency-Key must be 1 to {MAXIMUM_LENGTH} printable ASCII characters, best in quotes.")
    return key
