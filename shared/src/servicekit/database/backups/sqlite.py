"""Back up a SQLite file while it is being written to, and replace it with a backup."""

import datetime
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from servicekit.database.backups import BackupError

# Files that SQLite keeps beside a database. A log left beside a replaced database would be replayed into the new one.
SIDE_FILES = ("-wal", "-shm", "-journal")
# How long a restore waits for a connection that is being closed.
IN_USE_SECONDS = 1.0


def back_up(database: Path, target: Path) -> None:
    """Write a complete, verified copy to a new file that only its owner may read, or write no file."""
    if target.exists():
        raise BackupError(f"{target} exists already; name another file")
    with verified_copy(database, folder=target.parent) as copy:
        copy.replace(target)
        _sync(target.parent)


def restore(source: Path, database: Path, *, now: datetime.datetime) -> Path | None:
    """Replace the database with a copy of the source; return the new path of the previous file, None if there was none.

    Raises BackupError if the source is not a backup of this project, or if a process has the database open.
    """
    with verified_copy(source, folder=database.parent) as copy, _exclusive_access(database):
        _refuse_other_databases(copy)
        previous = _keep_aside(database, f"{database.name}.before-{now:%Y%m%dT%H%M%SZ}")
        copy.replace(database)
        _sync(database.parent)
    return previous


@contextmanager
def verified_copy(source: Path, *, folder: Path) -> Iterator[Path]:
    """Yield a copy of the source as of one moment; it is deleted afterwards unless it was renamed.

    Raises BackupError if the source is damaged or cannot be copied.
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
    """Copy in one read transaction, which in WAL mode blocks no writer (https://sqlite.org/backup.html)."""
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as reader,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        reader.backup(copy)
        # Leave a single file, without a log beside it. The services turn WAL on again.
        copy.execute("PRAGMA journal_mode = DELETE")
        _verify(copy)


def _verify(copy: sqlite3.Connection) -> None:
    (result,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    if result != "ok":
        raise BackupError(f"the database is damaged: {' '.join(result.split())}")


def _refuse_other_databases(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as opened:
        if not opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'django_migrations'").fetchone():
            raise BackupError("the file is not a backup of this project: it has no table django_migrations")


@contextmanager
def _exclusive_access(database: Path) -> Iterator[None]:
    """Keep other processes from opening the database; raises BackupError if one has it open.

    Each open connection to a database in WAL mode holds a lock, so only the last one can leave this mode
    (https://sqlite.org/wal.html). Leaving it also writes the log into the file.
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
            # A damaged file may be restored over. It is kept unchanged.
            pass
        yield


def _keep_aside(database: Path, name: str) -> Path | None:
    """Hard-link the database under another name, so that a file exists under its own name at every moment."""
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
    """Flush the folder to disk, so that a new name in it survives a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
