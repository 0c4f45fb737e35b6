"""Copy the SQLite file while it is written to, and put a copy in its place."""

import datetime
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from servicekit.database.backups import BackupError

# What SQLite keeps beside a file. A log that is left beside another file would be replayed into that.
SIDE_FILES = ("-wal", "-shm", "-journal")
# How long the restore waits for a connection that is just being closed.
IN_USE_SECONDS = 1.0


def back_up(database: Path, target: Path) -> None:
    """Write a copy to a new file that only its owner may read: complete and verified, or not at all."""
    if target.exists():
        raise BackupError(f"{target} exists already; name another file")
    with verified_copy(database, folder=target.parent) as copy:
        copy.replace(target)
        _sync(target.parent)


def restore(source: Path, database: Path, *, now: datetime.datetime) -> Path | None:
    """Put a copy of the source in the database's place; return where the previous file is now, if there was one.

    Raises BackupError where the source is no backup of this project, or a process has the database open.
    """
    with verified_copy(source, folder=database.parent) as copy, _alone(database):
        _refuse_other_databases(copy)
        previous = _keep_aside(database, f"{database.name}.before-{now:%Y%m%dT%H%M%SZ}")
        copy.replace(database)
        _sync(database.parent)
    return previous


@contextmanager
def verified_copy(source: Path, *, folder: Path) -> Iterator[Path]:
    """Yield a copy of the source, as of one moment; it is deleted at the end unless it was renamed.

    Raises BackupError where the source is damaged or cannot be copied.
    """
    descriptor, name = tempfile.mkstemp(dir=folder, prefix="backup.")
    os.close(descriptor)
    try:
        try:
            _copy(source, Path(name))
        except sqlite3.Error as error:
            raise BackupError(f"{source} cannot be copied: {error}") from None
        yield Path(name)
    finally:
        for side_file in ("", *SIDE_FILES):
            Path(f"{name}{side_file}").unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Copy in one read transaction, so that writers go on meanwhile (https://sqlite.org/backup.html, in WAL mode)."""
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as reader,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        reader.backup(copy)
        # One file, without a log beside it. The services turn WAL on again.
        copy.execute("PRAGMA journal_mode = DELETE")
        _verify(copy)


def _verify(copy: sqlite3.Connection) -> None:
    (result,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    if result != "ok":
        raise BackupError(f"the database is damaged: {' '.join(result.split())}")


def _refuse_other_databases(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as opened:
        if not opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'django_migrations'").fetchone():
            raise BackupError("the file is no backup of this project: it has no table django_migrations")


@contextmanager
def _alone(database: Path) -> Iterator[None]:
    """Keep every other process from opening the database; raises BackupError where one has it open.

    Each connection to a database in WAL mode holds a lock for as long as it is open, so this mode can only be left by
    the last one (https://sqlite.org/wal.html). Leaving it also writes the log into the file.
    """
    if not database.exists():
        yield
        return
    with closing(sqlite3.connect(database, timeout=IN_USE_SECONDS, isolation_level=None)) as own:
        try:
            own.execute("PRAGMA journal_mode = DELETE")
            own.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise BackupError(f"{database} is in use; stop everything that uses it") from None
            raise
        except sqlite3.DatabaseError:
            # A damaged file is what a restore is for. It is kept aside as it is.
            pass
        yield


def _keep_aside(database: Path, name: str) -> Path | None:
    """Give the database another name as well, so that at every moment one file has its own."""
    previous = database.with_name(name)
    for side_file in SIDE_FILES:
        beside = Path(f"{database}{side_file}")
        if beside.exists():
            beside.replace(f"{previous}{side_file}")
    if not database.exists():
        return None
    previous.hardlink_to(database)
    return previous


def _sync(folder: Path) -> None:
    """Have the new name on the disk before anything relies on it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
