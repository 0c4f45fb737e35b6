"""The file of the token keys, and the three steps of a key rotation as edits of that file.

The file is .env, with a line JWT_KEYS=kid:secret[,kid:secret…], or a file that contains only the keys. The list itself
records the state of the rotation: `prepare` appends a key whose kid is the current time, `activate` moves it to the
front, and `retire` removes all others. So the newest key is either last and waiting, or first and signing.
"""

import contextlib
import datetime
import fcntl
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from dotenv.parser import parse_stream

from local.errors import CommandError
from local.files import replace_file
from servicekit.process.env import ConfigurationError
from servicekit.tokens.keys import VARIABLE, Key, format_keys, parse_keys

STEPS = ("prepare", "activate", "retire")
# The copy of .env's keys in the run folder, which the services of a running stack read.
PUBLISHED = "jwt-keys"

# No kid from `make up` or an older .env has this form; keys without a time are older than any key with one.
_KID_TIME = "k%Y%m%dT%H%M%SZ"
_NO_TIME = datetime.datetime.min.replace(tzinfo=datetime.UTC)

Keys = tuple[Key, ...]


def created_at(key: Key) -> datetime.datetime:
    """Return when `prepare` created the key, according to its kid; ``datetime.min`` for any other key."""
    try:
        return datetime.datetime.strptime(key.kid, _KID_TIME).replace(tzinfo=datetime.UTC)
    except ValueError:
        return _NO_TIME


def has_time(key: Key) -> bool:
    """Return whether `prepare` created the key."""
    return created_at(key) != _NO_TIME


def next_step(keys: Keys) -> str:
    """Return the next step of the rotation; after a finished one, that is the first."""
    if len(keys) == 1:
        return "prepare"
    return "retire" if max(keys, key=created_at) == keys[0] else "activate"


def take_step(keys: Keys, step: str, *, now: datetime.datetime) -> Keys:
    """Return the list after the step; raises ValueError unless it is the next one."""
    if step != next_step(keys):
        raise ValueError(step)
    if step == "prepare":
        # The kid must be unique and the newest, even if the clock has been set back.
        time = max(now.replace(microsecond=0), max(map(created_at, keys)) + datetime.timedelta(seconds=1))
        return (*keys, Key(time.strftime(_KID_TIME), secrets.token_urlsafe(48).encode()))
    if step == "activate":
        newest = max(keys, key=created_at)
        return (newest, *(key for key in keys if key != newest))
    return keys[:1]


class KeyFile:
    """The file of the keys: .env if that is its name, else a file that contains only the keys."""

    def __init__(self, path: Path) -> None:
        # Replace the target of a link, not the link.
        self.path = path.resolve()
        self.is_dotenv = path.name == ".env"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from changing the keys. The lock ends with the process.

        Raises CommandError if another command holds it.
        """
        # Lock the folder, since each change replaces the file.
        try:
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise CommandError(f"{self.path} cannot be read: {error.strerror}") from None
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CommandError(f"another command is changing the keys in {self.path}") from None
            yield
        finally:
            os.close(folder)

    def read(self) -> Keys:
        try:
            return parse_keys(self._split(self._text())[1])
        except ConfigurationError as error:
            raise CommandError(f"{self.path}: {error}") from None

    def changed_at(self) -> datetime.datetime:
        """Return when the file was last written: the keys have been in their present order at least since then."""
        return datetime.datetime.fromtimestamp(self.path.stat().st_mtime, tz=datetime.UTC)

    def write(self, keys: Keys) -> None:
        """Replace the keys atomically; every other byte of the file is preserved."""
        before, _, after = self._split(self._text())
        text = before + format_keys(keys) + after
        try:
            read_back = self._split(text)[1]
        except CommandError:
            read_back = ""
        # A value that is written with escapes does not appear literally in the file.
        if read_back != format_keys(keys):
            raise CommandError(f"{self.path}: write {VARIABLE} without escapes")
        replace_file(self.path, text)

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode()
        except OSError as error:
            raise CommandError(f"{self.path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise CommandError(f"{self.path} cannot be read: it is not UTF-8 text") from None

    def _split(self, text: str) -> tuple[str, str, str]:
        """Return the text before the keys, the keys, and the text after them."""
        if not self.is_dotenv:
            keys = text.strip()
            before, _, after = text.partition(keys or "\0")
            return before, keys, after
        bindings = list(parse_stream(io.StringIO(text, newline="")))
        originals = [binding.original.string for binding in bindings]
        ours = [position for position, binding in enumerate(bindings) if binding.key == VARIABLE]
        if len(ours) != 1 or not (value := bindings[ours[0]].value):
            raise CommandError(f"{self.path} does not set {VARIABLE} exactly once")
        before, found, after = originals[ours[0]].partition(value)
        if not found or "".join(originals) != text:
            raise CommandError(f"{self.path}: write {VARIABLE} without escapes")
        return "".join(originals[: ours[0]]) + before, value, after + "".join(originals[ours[0] + 1 :])
