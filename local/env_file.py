"""Creating, completing and reading .env."""

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from dotenv.parser import parse_stream

from local.errors import CommandError
from local.files import replace_file

# The lines of .env.example whose value is a secret.
SECRET = re.compile(r"^(JWT_KEYS|[A-Z]+_SECRET_KEY|REDIS_PASSWORD)=$", re.MULTILINE)


def names(example: str) -> frozenset[str]:
    """Return the name of every variable in the example."""
    return frozenset(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))


def fresh_secret(name: str) -> str:
    """Return a new value for the variable.

    Its characters need no quoting in make, Compose or dotenv, and do not separate the parts of JWT_KEYS.
    """
    secret = secrets.token_urlsafe(48)
    return f"{secrets.token_hex(4)}:{secret}" if name == "JWT_KEYS" else secret


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Return the text with these values, each in the first empty line NAME=, or else in a new line at the end."""
    for name, value in values.items():
        # The values contain no backslash, which re.sub would interpret.
        text, found = re.subn(rf"^{name}=[ \t]*$", f"{name}={value}", text, count=1, flags=re.MULTILINE)
        if not found:
            text = f"{text.rstrip(chr(10))}\n{name}={value}\n"
    return text


def missing_secrets(example: str, written: Mapping[str, str], shell: Mapping[str, str]) -> list[str]:
    """Return the secrets of the example that neither .env nor the shell sets, by value or by file."""
    known = {name for source in (written, shell) for name, value in source.items() if value.strip()}
    return [name for name in SECRET.findall(example) if not known & {name, f"{name}_FILE"}]


def project_name(checkout: Path) -> str:
    """Return a Compose project name that is unique to this checkout."""
    return f"task-api-{hashlib.sha256(os.fsencode(checkout)).hexdigest()[:6]}"


def read(path: Path, *, example: str, shell: Mapping[str, str]) -> dict[str, str]:
    """Return the variables in .env, after creating it or adding missing secrets; raises CommandError."""
    with _locked(path.parent / ".env.example"):
        if not path.exists():
            replace_file(path, _first_text(example, path.parent))
        written = _parse(path)
        if missing := missing_secrets(example, written, shell):
            fresh = {name: fresh_secret(name) for name in missing}
            replace_file(path, fill_in(path.read_bytes().decode(), fresh))
            # Not on standard output, which may be the data of a command.
            print(f"added to .env, with fresh secrets: {', '.join(missing)}", file=sys.stderr)
            written |= fresh
    return written


def _first_text(example: str, checkout: Path) -> str:
    text = fill_in(example, {name: fresh_secret(name) for name in SECRET.findall(example)})
    return fill_in(text, {"COMPOSE_PROJECT_NAME": project_name(checkout)})


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock the file, so that concurrent commands write one set of secrets. The lock ends with the process."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _parse(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8") as stream:
            # Use only the parser, since dotenv_values() skips malformed lines.
            bindings = list(parse_stream(stream))
    except OSError as error:
        raise CommandError(f".env cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(".env cannot be read: it is not UTF-8 text") from None
    for binding in bindings:
        if binding.error or (binding.key and binding.value is None):
            raise CommandError(f".env cannot be read: line {binding.original.line} is not NAME=value")
    return {binding.key: binding.value for binding in bindings if binding.key and binding.value is not None}
