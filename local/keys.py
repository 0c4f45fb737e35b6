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
import re
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import parse_stream

VARIABLE = "JWT_KEYS"
STEPS = ("prepare", "activate", "retire")
# The copy of .env's keys in the run folder, which is what the services of a running stack read.
PUBLISHED = "jwt-keys"

_KID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
# No kid that `make up` or an older .env has made looks like this; those without a time are older than any with one.
_KID_TIME = "k%Y%m%dT%H%M%SZ"


class KeysError(Exception):
    """The keys cannot be read or changed; the message is one line and holds no secret."""


@dataclass(frozen=True)
class Key:
    """A shared secret and its public name."""

    kid: str
    secret: str = field(repr=False)

    @property
    def is_timed(self) -> bool:
        return self.made != datetime.datetime.min.replace(tzinfo=datetime.UTC)

    @property
    def made(self) -> datetime.datetime:
        try:
            return datetime.datetime.strptime(self.kid, _KID_TIME).replace(tzinfo=datetime.UTC)
        except ValueError:
            return datetime.datetime.min.replace(tzinfo=datetime.UTC)


Keys = tuple[Key, ...]


def parse(text: str) -> Keys:
    """The keys of kid:secret[,kid:secret…], checked as the services do it; raises ValueError."""
    keys: list[Key] = []
    for position, entry in enumerate(text.split(","), start=1):
        kid, _, secret = entry.strip().partition(":")
        if not _KID.fullmatch(kid) or len(secret.encode()) < 32:
            raise ValueError(f"key {position} is not kid:secret with a secret of at least 32 bytes")
        if any(kid == key.kid or secret == key.secret for key in keys):
            raise ValueError(f"key {position} repeats the kid or the secret of another")
        keys.append(Key(kid, secret))
    return tuple(keys)


def format_keys(keys: Keys) -> str:
    return ",".join(f"{key.kid}:{key.secret}" for key in keys)


def next_step(keys: Keys) -> str:
    """What a rotation that has come this far needs next, which for one that is done is the first step of another."""
    if len(keys) == 1:
        return "prepare"
    return "retire" if max(keys, key=lambda key: key.made) == keys[0] else "activate"


def take_step(keys: Keys, step: str, *, now: datetime.datetime) -> Keys:
    """The list after the step, which has to be the next one."""
    if step != next_step(keys):
        raise ValueError(step)
    if step == "prepare":
        # Never the name of another, nor one that looks older: the clock may have been set back.
        made = max(now.replace(microsecond=0), max(key.made for key in keys) + datetime.timedelta(seconds=1))
        return (*keys, Key(made.strftime(_KID_TIME), secrets.token_urlsafe(48)))
    if step == "activate":
        newest = max(keys, key=lambda key: key.made)
        return (newest, *(key for key in keys if key != newest))
    return keys[:1]


class KeyFile:
    """The file that holds the keys: .env where its name says so, else one of nothing but the keys."""

    def __init__(self, path: Path) -> None:
        # The file that a link names, not the link, is what is written anew.
        self.path = path.resolve()
        self.is_dotenv = path.name == ".env"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes the keys meanwhile; raises KeysError where somebody does. A crash leaves no lock."""
        # The folder, since the file is another after each change.
        try:
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise KeysError(f"{self.path} cannot be read: {error.strerror}") from None
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise KeysError(f"the keys in {self.path} are being changed by somebody else at this moment") from None
            yield
        finally:
            os.close(folder)

    def read(self) -> Keys:
        try:
            return parse(self._split(self._text())[1])
        except ValueError as error:
            raise KeysError(f"{self.path}: {VARIABLE}: {error}") from None

    def changed_at(self) -> datetime.datetime:
        """When the file was written last: the keys have been in their present order at least since then."""
        return datetime.datetime.fromtimestamp(self.path.stat().st_mtime, tz=datetime.UTC)

    def write(self, keys: Keys) -> None:
        """Put the keys in the place of the ones before, whole or not at all; every other byte stays as it is."""
        before, _, after = self._split(self._text())
        text = before + format_keys(keys) + after
        try:
            read_back = self._split(text)[1]
        except KeysError:
            read_back = None
        # Where a value is written with escapes, it does not stand there as it is read.
        if read_back != format_keys(keys):
            raise KeysError(f"{self.path}: write {VARIABLE} without escapes")
        write_file(self.path, text)

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode()
        except OSError as error:
            raise KeysError(f"{self.path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise KeysError(f"{self.path} cannot be read: it is not UTF-8 text") from None

    def _split(self, text: str) -> tuple[str, str, str]:
        """What stands before the keys, the keys, and what stands after them."""
        if not self.is_dotenv:
            value = text.strip()
            before, _, after = text.partition(value or "\0")
            return before, value, after
        bindings = list(parse_stream(io.StringIO(text, newline="")))
        originals = [binding.original.string for binding in bindings]
        ours = [position for position, binding in enumerate(bindings) if binding.key == VARIABLE]
        if len(ours) != 1 or not (value := bindings[ours[0]].value):
            raise KeysError(f"{self.path} does not set {VARIABLE} exactly once")
        before, found, after = originals[ours[0]].partition(value)
        if not found or "".join(originals) != text:
            raise KeysError(f"{self.path}: write {VARIABLE} without escapes")
        return "".join(originals[: ours[0]]) + before, value, after + "".join(originals[ours[0] + 1 :])


def write_file(path: Path, text: str) -> None:
    """Replace the file at once, keeping its owner and mode; a new one is its owner's alone. Raises KeysError."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", delete=False) as file:
            try:
                file.write(text.encode())
                with contextlib.suppress(FileNotFoundError):
                    before = path.stat()
                    # First the owner: a change of it may take rights away.
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                    os.fchmod(file.fileno(), before.st_mode & 0o7777)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink()
                raise
        # The new name is on the disk as well, before anything is made of it.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeysError(f"{path} cannot be written: {error.strerror}") from None
