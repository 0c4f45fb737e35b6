import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import DatabaseError, OperationalError

from servicekit.database.sqlite.base import DatabaseWrapper
from servicekit.database.writes import check_writes
from tests.database.test_sqlite import wrapper

pytestmark = pytest.mark.django_db

# Simulates a full file system, by limiting how much the process itself may write.
FULL = """
import resource, signal, sys
from tests.database.test_sqlite import wrapper
from servicekit.database.writes import check_writes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
try:
    check_writes(wrapper(sys.argv[1]))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "a b%.sqlite3"
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE task (id)")
        yield path
    database.close()


def test_database_that_takes_writes_passes_and_is_as_it_was(path: Path) -> None:
    check_writes(wrapper(path))
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("task",)]
    database.close()


def test_the_check_waits_for_no_writer_and_takes_one_for_no_failure(path: Path) -> None:
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        check_writes(wrapper(path))
        assert time.monotonic() - started < 1
        other.execute("ROLLBACK")
    other.close()


def test_file_that_cannot_grow_fails(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import tests.settings, django; django.setup()\n" + FULL, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": "."},
    )
    assert done.stdout.startswith("OperationalError"), done.stdout + done.stderr


def test_file_that_is_gone_fails_and_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DatabaseWrapper, "may_create", False)
    with pytest.raises(OperationalError, match="unable to open database file"):
        check_writes(wrapper(tmp_path / "db.sqlite3"))
    assert not (tmp_path / "db.sqlite3").exists()


def test_damaged_file_fails(path: Path) -> None:
    copy = path.with_name("copy.sqlite3")
    shutil.copy(path, copy)
    copy.write_bytes(b"no database at all" * 1000)
    with pytest.raises(DatabaseError):
        check_writes(wrapper(copy))
