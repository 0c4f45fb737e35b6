"""Read configuration from environment variables. A missing or malformed one prevents the start; one line names it.

Every variable can also be given as a file, for secrets that an orchestrator mounts: ``JWT_KEYS_FILE=/run/secrets/keys``
stands for ``JWT_KEYS`` with the contents of that file.
"""

import os
from pathlib import Path


class ConfigurationError(SystemExit):
    """The configuration cannot be used; the message names the variable and never contains its value.

    It is a ``SystemExit``, so that any program that imports the settings (manage.py, granian, celery) exits with this
    one line and exit code 1 instead of a traceback.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")


def get(name: str, default: str = "") -> str:
    """Return the variable's value without surrounding white space; ``default`` if it is unset or empty."""
    value = os.environ.get(name, "").strip()
    path = os.environ.get(f"{name}_FILE", "").strip()
    if value and path:
        raise ConfigurationError(f"{name} and {name}_FILE", "are both set; set one of them")
    if not path:
        return value or default
    try:
        return Path(path).read_text(encoding="utf-8").strip() or default
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"{name}_FILE", f"cannot be read: {reason}") from None


def require(name: str) -> str:
    """Return the variable's value; raises ConfigurationError if it is unset or empty."""
    value = get(name)
    if not value:
        raise ConfigurationError(name, "is not set; see .env.example")
    return value


def integer(name: str, default: int, *, minimum: int, maximum: int) -> int:
    """Return the variable as a whole number within the bounds; raises ConfigurationError for anything else."""
    text = get(name, str(default))
    # Not int() alone: it accepts "1_000", " 1" and other scripts' digits.
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and minimum <= int(text) <= maximum):
        raise ConfigurationError(name, f"must be a whole number from {minimum} to {maximum}")
    return int(text)


def choice(name: str, default: str, *, choices: tuple[str, ...]) -> str:
    """Return the variable as one of ``choices``, in lower case; raises ConfigurationError for anything else."""
    value = get(name, default).lower()
    if value not in choices:
        raise ConfigurationError(name, f"must be one of {', '.join(choices)}")
    return value
