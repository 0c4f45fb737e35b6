"""The keys of the tokens in the file that holds them, and the three steps of a rotation as edits of that file.

The file is .env, with a line JWT_KEYS=kid:secret[,kid:secret…], or one that holds nothing but the keys. What has been
done is read off the list itself: `prepare` adds a key at the end, under a name that is its time, `activate` moves it to
the front, `retire` leaves it alone there. So the newest key is either last and waits, or first and signs.
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
# The copy of .env's keys in the run folder, which is what the services of a running stack read.
PUBLISHED = "jwt-keys"

# No kid that `make up` or an older .env has made looks like this; those without a time are older than any with one.
_KID_TIME = "k%Y%m%dT%H%M%SZ"
_NO_TIME = datetime.datetime.min.replace(tzinfo=datetime.UTC)

Keys = tuple[Key, ...]


def made(key: Key) -> datetime.datetime:
    """Return when `prepare` made the key, by its name; the beginning of time for a key that it has not made."""
    try:
        return datetime.datetime.strptime(key.kid, _KID_TIME).replace(tzinfo=datetime.UTC)
    except ValueError:
        return _NO_TIME


def has_time(key: Key) -> bool:
    """Return whether `prepare` made the key."""
    return made(key) != _NO_TIME


def next_step(keys: Keys) -> str:
    """Return the step that a rotation which has come this far needs next; a finished one begins again."""
    if len(keys) == 1:
        return "prepare"
    return "retire" if max(keys, key=made) == keys[0] else "activate"


def take_step(keys: Keys, step: str, *, now: datetime.datetime) -> Keys:
    """Return the list after the step, which has to be the next one."""
    if step != next_step(keys):
        raise ValueError(step)
    if step == "prepare":
        # Never the name of another key, nor one that looks older: the clock may have been set back.
        time = max(now.replace(microsecond=0), max(map(made, keys)) + datetime.timedelta(seconds=1))
        return (*keys, Key(time.strftime(_KID_TIME), secrets.token_urlsafe(48).encode()))
    if step == "activate":
        newest = max(keys, key=made)
        return (newest, *(key for key in keys if key != newest))
    return keys[:1]


class KeyFile:
    """The file that holds the keys: .env where its name says so, else one of nothing but the keys."""

    def __init__(self, path: Path) -> None:
        # The file that a link names, not the link, is what is replaced.
        self.path = path.resolve()
        self.is_dotenv = path.name == ".env"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from changing the keys meanwhile. The end of the process releases the lock.

        Raises CommandError where another command holds it.
        """
        # The folder, since the file is another after each change.
        try:
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise CommandError(f"{self.path} cannot be read: {error.strerror}") from None
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CommandError(
                    f"the keys in {self.path} are being changed by another command at this moment"
                ) from None
            yield
        finally:
            os.close(folder)

    def read(self) -> Keys:
        try:
            return parse_keys(self._split(self._text())[1])
        except ConfigurationError as error:
            raise CommandError(f"{self.path}: {error}") from None

    def changed_at(self) -> datetime.datetime:
        """Return when the file was written last: the keys have been in their present order at least since then."""
        return datetime.datetime.fromtimestamp(self.path.stat().st_mtime, tz=datetime.UTC)

    def write(self, keys: Keys) -> None:
        """Replace the keys, whole or not at all; every other byte of the file stays as it is."""
        before, _, after = self._split(self._text())
        text = before + format_keys(keys) + after
        try:
            read_back = self._split(text)[1]
        except CommandError:
            read_back = ""
        # Where a value is written with escapes, it does not stand there as it is read.
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
        """Return what stands before the keys, the keys, and what stands after them."""
        if not self.is_dotenv:
            keys = text.strip()
            before, _, after = text.partition(keys or "\0")
            return before, keys, after
        bindings = list(parse_stream(io.StringIO(text, newline="")))
        originals = [binding.original.string for binding in bindings]
        ours = [position for position, binding in enumerate(bindings) if binding.key == VARIABLE]
        if len(ours) != 1 or not (value := bindings[ours[0]].value):
            raise CommandError(f"{self.path} does not set {VARIABLE} exactly once")
        before, standing, after = originals[ours[0]].partition(value)
        if not standing or "".join(originals) != text:
            raise CommandError(f"{self.path}: write {VARIABLE} without escapes")
        return "".join(originals[: ours[0]]) + before, value, after + "".join(originals[ours[0] + 1 :])
