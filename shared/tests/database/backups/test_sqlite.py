"""Backups of the SQLite file are consistent, private, and complete or absent; a restore loses nothing."""

import datetime
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from servicekit.database.backups import BackupError, sqlite

NOW = datetime.datetime(2026, 11, 25, 10, 0, tzinfo=datetime.UTC)
PREVIOUS = "db.sqlite3.before-20261125T100000Z"


def make_database(path: Path, *, rows: int) -> Path:
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute("CREATE TABLE django_migrations (id)")
        opened.execute("CREATE TABLE task (id INTEGER PRIMARY KEY, title)")
        opened.execute("CREATE TABLE event (task_id)")
        opened.executemany("INSERT INTO task VALUES (?, 'a title')", [(number,) for number in range(rows)])
    return path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return make_database(tmp_path / "db.sqlite3", rows=3)


def count(path: Path, table: str = "task") -> int:
    with closing(sqlite3.connect(path)) as opened:
        number: int = opened.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return number


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_backup_is_one_private_file_with_what_was_committed(database: Path, tmp_path: Path):
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("INSERT INTO task VALUES (7, 'committed, and still in the log')")
        writer.commit()
        writer.execute("INSERT INTO task VALUES (8, 'not committed')")
        sqlite.back_up(database, tmp_path / "copy")

    # Not in WAL mode, in which a copy on a read-only medium could not be opened: https://sqlite.org/fileformat2.html
    assert (tmp_path / "copy").read_bytes()[18:20] == b"\x01\x01"
    assert count(tmp_path / "copy") == 4
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == {"db.sqlite3", "copy"}


def test_backup_under_writes_is_of_one_moment(database: Path, tmp_path: Path):
    """Each transaction writes two rows, as the tasks service does; a copy has both or neither."""
    stop, written = threading.Event(), threading.Semaphore(0)

    def write() -> None:
        with closing(sqlite3.connect(database)) as writer:
            for number in range(1000, 1_000_000):
                if stop.is_set():
                    break
                with writer:
                    writer.execute("INSERT INTO task VALUES (?, ?)", (number, "x" * 500))
                    writer.execute("INSERT INTO event VALUES (?)", (number,))
                written.release()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(10):
            for _ in range(20):
                assert written.acquire(timeout=10)
            sqlite.back_up(database, tmp_path / f"copy{number}")
    finally:
        stop.set()
        thread.join()

    counts = [
        (count(tmp_path / f"copy{number}") - 3, count(tmp_path / f"copy{number}", "event")) for number in range(10)
    ]
    assert all(tasks == events >= 20 * (number + 1) for number, (tasks, events) in enumerate(counts))
    assert len(set(counts)) == 10


def test_backup_overwrites_nothing(database: Path, tmp_path: Path):
    (tmp_path / "copy").write_text("another one")

    with pytest.raises(BackupError, match="exists already"):
        sqlite.back_up(database, tmp_path / "copy")

    assert (tmp_path / "copy").read_text() == "another one"


def damage(path: Path) -> None:
    """Overwrite the pages after the first, which SQLite reads as tables."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def test_backup_of_a_damaged_database_fails_and_leaves_nothing(database: Path, tmp_path: Path):
    damage(database)

    with pytest.raises(BackupError, match="the database is damaged"):
        sqlite.back_up(database, tmp_path / "copy")

    assert names(tmp_path) == {"db.sqlite3"}


def test_backup_of_a_missing_database_makes_none(tmp_path: Path):
    with pytest.raises(BackupError, match=r"db\.sqlite3 cannot be copied: unable to open database file"):
        sqlite.back_up(tmp_path / "db.sqlite3", tmp_path / "copy")

    assert names(tmp_path) == set()


def test_restore_into_an_empty_folder(database: Path, tmp_path: Path):
    (tmp_path / "new").mkdir()
    assert sqlite.restore(database, tmp_path / "new/db.sqlite3", now=NOW) is None

    assert count(tmp_path / "new/db.sqlite3") == 3
    assert names(tmp_path / "new") == {"db.sqlite3"}


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return make_database(tmp_path / "backups/backup", rows=9)


def test_restore_keeps_the_previous_file_with_its_last_write(database: Path, backup: Path):
    writer = sqlite3.connect(database)
    writer.execute("INSERT INTO task VALUES (7, 'in the log')")
    writer.commit()
    # As a killed process leaves it: with the log beside the file.
    log = Path(f"{database}-wal").read_bytes()
    writer.close()
    Path(f"{database}-wal").write_bytes(log)

    previous = sqlite.restore(backup, database, now=NOW)

    assert previous == database.with_name(PREVIOUS)
    assert (count(database), count(previous)) == (9, 4)
    assert database.stat().st_mode & 0o777 == 0o600
    assert names(database.parent) == {"db.sqlite3", PREVIOUS, "backups"}


def test_restore_over_a_damaged_file_keeps_it_with_its_log(database: Path, backup: Path):
    database.write_bytes(b"no database at all" * 1000)
    Path(f"{database}-wal").write_bytes(b"its log")

    assert sqlite.restore(backup, database, now=NOW) == database.with_name(PREVIOUS)

    assert count(database) == 9
    assert database.with_name(PREVIOUS).read_bytes().startswith(b"no database")
    assert database.with_name(f"{PREVIOUS}-wal").read_bytes() == b"its log"


def test_restore_does_not_replay_the_log_of_a_file_that_is_gone(database: Path, backup: Path):
    writer = sqlite3.connect(database)
    writer.execute("INSERT INTO task VALUES (7, 'in the log')")
    writer.commit()
    log = Path(f"{database}-wal").read_bytes()
    writer.close()
    database.unlink()
    Path(f"{database}-wal").write_bytes(log)

    sqlite.restore(backup, database, now=NOW)

    assert count(database) == 9
    assert database.with_name(f"{PREVIOUS}-wal").exists()


def test_restore_is_refused_while_a_process_has_the_database_open(database: Path, backup: Path):
    with closing(sqlite3.connect(database)) as idle:
        # Open, but not in a transaction, like the connection of a service's thread between two requests.
        idle.execute("SELECT count(*) FROM task").fetchone()
        with pytest.raises(BackupError, match="is in use"):
            sqlite.restore(backup, database, now=NOW)

    assert count(database) == 3
    assert PREVIOUS not in names(database.parent)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "not a backup of this project"),
        (b"text" * 1000, "cannot be copied: file is not a database"),
        (b"", "not a backup of this project"),
    ],
)
def test_restore_of_something_else_changes_nothing(database: Path, tmp_path: Path, content: bytes | None, reason: str):
    other = tmp_path / "other"
    if content is None:
        with closing(sqlite3.connect(other)) as opened:
            opened.execute("CREATE TABLE anything (id)")
    else:
        other.write_bytes(content)

    with pytest.raises(BackupError, match=reason):
        sqlite.restore(other, database, now=NOW)

    assert count(database) == 3
    assert names(tmp_path) == {"db.sqlite3", "other"}


def test_restore_of_a_damaged_backup_changes_nothing(database: Path, backup: Path):
    with closing(sqlite3.connect(backup)) as opened:
        opened.execute("PRAGMA journal_mode = DELETE")
    damage(backup)

    with pytest.raises(BackupError, match=r"damaged|malformed"):
        sqlite.restore(backup, database, now=NOW)

    assert count(database) == 3
