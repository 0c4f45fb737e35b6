"""The current keys: those of the settings or, with ``JWT_KEYS_FILE``, of a file that may change at any time."""

import logging
import os
import time
from dataclasses import dataclass, field, replace
from typing import cast

from django.conf import settings

from servicekit.process import env
from servicekit.process.env import ConfigurationError
from servicekit.tokens.keys import VARIABLE, Key, parse_keys

REREAD_SECONDS = 1.0

logger = logging.getLogger("servicekit.tokens.keyring")


def current_keys() -> tuple[Key, ...]:
    """Return the current keys, from the settings or from the file that ``JWT_KEYS_FILE`` names.

    The first request that finds the copy a second old reads the file again, so a change takes effect within a second.
    An unusable file changes nothing, and is logged once.
    """
    global _copy
    if not os.environ.get(f"{VARIABLE}_FILE"):
        return cast(tuple[Key, ...], settings.JWT_KEYS)
    copy, now = _copy, time.monotonic()
    if copy is None or now - copy.read_at >= REREAD_SECONDS:
        # Several threads may do this at once; none may treat a copy as current before it is.
        copy = _copy = _reread(copy or _Copy(text="", keys=settings.JWT_KEYS, problem="", read_at=now), now)
    return copy.keys


@dataclass(frozen=True, slots=True)
class _Copy:
    text: str = field(repr=False)
    keys: tuple[Key, ...]
    problem: str
    read_at: float  # By time.monotonic().


_copy: _Copy | None = None


def _reread(copy: _Copy, now: float) -> _Copy:
    try:
        text = env.require(VARIABLE)
        if text == copy.text:
            return replace(copy, problem="", read_at=now)
        keys = parse_keys(text)
    except ConfigurationError as error:
        if str(error) != copy.problem:
            logger.error("keys unreadable", extra={"problem": str(error)})
        return replace(copy, problem=str(error), read_at=now)
    if keys != copy.keys:
        logger.info("keys changed", extra={"kids": [key.kid for key in keys]})
    return _Copy(text=text, keys=keys, problem="", read_at=now)
