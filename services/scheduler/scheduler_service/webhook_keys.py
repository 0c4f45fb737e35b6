"""WEBHOOK_SECRET_KEY, the keys that encrypt the secrets of webhooks."""

import os

from servicekit.process import env
from servicekit.process.env import ConfigurationError
from servicekit.tokens.keys import MINIMUM_SECRET_BYTES, Key

VARIABLE = "WEBHOOK_SECRET_KEY"


def webhook_secret_keys(*, jwt_keys: tuple[Key, ...]) -> tuple[str, ...]:
    """Return the comma-separated keys: the first encrypts, all decrypt.

    Raises ConfigurationError if there are none, or if one is too short or equals another secret.
    """
    keys = tuple(key.strip() for key in env.require(VARIABLE).split(","))
    if any(len(key.encode()) < MINIMUM_SECRET_BYTES for key in keys):
        raise ConfigurationError(VARIABLE, f"has a key of fewer than {MINIMUM_SECRET_BYTES} bytes")
    if any(key.secret.decode(errors="replace") in keys for key in jwt_keys):
        raise ConfigurationError(VARIABLE, "equals a secret in JWT_KEYS; give each its own")
    for name, value in sorted(os.environ.items()):
        if name.endswith("_SECRET_KEY") and name != VARIABLE and value.strip() in keys:
            raise ConfigurationError(VARIABLE, f"equals {name}; give each its own")
    return keys
