"""WEBHOOK_SECRET_KEY: the keys that encrypt the secrets of webhooks."""

import os

from servicekit.process import env
from servicekit.process.env import ConfigurationError

VARIABLE = "WEBHOOK_SECRET_KEY"
MINIMUM_BYTES = 32


def webhook_secret_keys() -> tuple[str, ...]:
    """The keys, separated by commas: the first encrypts, all decrypt.

    Raises ConfigurationError where there is none, one is short, or one is another variable's secret as well.
    """
    keys = tuple(key.strip() for key in env.require(VARIABLE).split(","))
    if any(len(key.encode()) < MINIMUM_BYTES for key in keys):
        raise ConfigurationError(VARIABLE, f"has fewer than {MINIMUM_BYTES} bytes; several are separated by commas")
    for name, value in sorted(os.environ.items()):
        if name.endswith("_SECRET_KEY") and name != VARIABLE and value.strip() in keys:
            raise ConfigurationError(VARIABLE, f"equals {name}; give each its own")
    return keys
