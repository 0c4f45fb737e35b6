"""The shared secrets that sign and verify tokens, and their text form ``JWT_KEYS="kid:secret[,kid:secret…]"``.

The first key signs and all of them verify, so keys can be rotated. Nothing here needs Django, since the command that
rotates the keys uses this module as well.
"""

import re
from dataclasses import dataclass, field

from servicekit.process import env
from servicekit.process.env import ConfigurationError

VARIABLE = "JWT_KEYS"
MINIMUM_SECRET_BYTES = 32  # RFC 7518, section 3.2: at least as long as the hash's output.

_KID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """A shared secret and its public name."""

    kid: str
    secret: bytes = field(repr=False)


def keys_from_env() -> tuple[Key, ...]:
    """Parse the variable JWT_KEYS; raises ConfigurationError, which names it."""
    return parse_keys(env.require(VARIABLE))


def parse_keys(text: str) -> tuple[Key, ...]:
    """Parse ``kid:secret[,kid:secret…]``; raises ConfigurationError, which never shows a secret."""
    keys: list[Key] = []
    for position, entry in enumerate(text.split(","), start=1):
        kid, colon, secret = entry.strip().partition(":")
        if not colon or not _KID.fullmatch(kid):
            raise ConfigurationError(
                VARIABLE, f"key {position} is not kid:secret (kid: letters, digits, - and _, at most 64)"
            )
        key = Key(kid, secret.encode())
        if len(key.secret) < MINIMUM_SECRET_BYTES:
            raise ConfigurationError(
                VARIABLE, f"the secret of key {position} has fewer than {MINIMUM_SECRET_BYTES} bytes"
            )
        if any(key.kid == other.kid or key.secret == other.secret for other in keys):
            raise ConfigurationError(VARIABLE, f"key {position} repeats the kid or the secret of another")
        keys.append(key)
    return tuple(keys)


def format_keys(keys: tuple[Key, ...]) -> str:
    """Return the text form of the keys, which parse_keys() reads."""
    return ",".join(f"{key.kid}:{key.secret.decode()}" for key in keys)
