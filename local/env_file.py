"""The file .env: make it, complete it, read it."""

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
    """Return the name of every variable that the example explains."""
    return frozenset(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))


def fresh_secret(name: str) -> str:
    """Return a new value for the variable.

    It is of characters that make, Compose and dotenv all read as they stand, and none at which JWT_KEYS is split.
    """
    secret = secrets.token_urlsafe(48)
    return f"{secrets.token_hex(4)}:{secret}" if name == "JWT_KEYS" else secret


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Return the text of a .env with these values: in the first line NAME= that has none, or in a line at the end."""
    for name, value in values.items():
        # No value of ours has a backslash, which re.sub would act on.
        text, found = re.subn(rf"^{name}=[ \t]*$", f"{name}={value}", text, count=1, flags=re.MULTILINE)
        if not found:
            text = f"{text.rstrip(chr(10))}\n{name}={value}\n"
    return text


def missing_secrets(example: str, written: Mapping[str, str], shell: Mapping[str, str]) -> list[str]:
    """Return the secrets of the example that neither .env nor the shell has, by value or by file."""
    known = {name for source in (written, shell) for name, value in source.items() if value.strip()}
    return [name for name in SECRET.findall(example) if not known & {name, f"{name}_FILE"}]


def project_name(checkout: Path) -> str:
    """Return a name for Compose that no other checkout of the machine has."""
    return f"task-api-{hashlib.sha256(os.fsencode(checkout)).hexdigest()[:6]}"


def read(path: Path, *, example: str, shell: Mapping[str, str]) -> dict[str, str]:
    """Read .env, after making it or adding the secrets that it lacks."""
    with _locked(path.parent / ".env.example"):
        if not path.exists():
            replace_file(path, _first_text(example, path.parent))
        written = _parse(path)
        if missing := missing_secrets(example, written, shell):
            fresh = {name: fresh_secret(name) for name in missing}
            replace_file(path, fill_in(path.read_bytes().decode(), fresh))
            # Not on standard output, which may be another command's data.
            print(f"added to .env, with fresh secrets: {', '.join(missing)}", file=sys.stderr)
            written |= fresh
    return written


def _first_text(example: str, checkout: Path) -> str:
    text = fill_in(example, {name: fresh_secret(name) for name in SECRET.findall(example)})
    return fill_in(text, {"COMPOSE_PROJECT_NAME": project_name(checkout)})


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let two commands that start at once write one set of secrets. The end of the process releases the lock."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _parse(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8") as stream:
            # The parser alone: dotenv_values() passes over a line that it cannot read.
            bindings = list(parse_stream(stream))
    except OSError as error:
        raise CommandError(f".env cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(".env cannot be read: it is not UTF-8 text") from None
    for binding in bindings:
        if binding.error or (binding.key and binding.value is None):
            raise CommandError(f".env cannot be read: line {binding.original.line} is not NAME=value")
    return {binding.key: binding.value for binding in bindings if binding.key and binding.value is not None}
