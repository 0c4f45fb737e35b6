from pathlib import Path

import pytest
from django.core.files import locks
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.backends.sqlite3.base import DatabaseWrapper

from servicekit.database.locks import LockTimeout, one_at_a_time
from servicekit.management.commands import migrate


@pytest.fixture
def database(tmp_path: Path) -> DatabaseWrapper:
    return DatabaseWrapper({**connection.settings_dict, "NAME": str(tmp_path / "db.sqlite3")})


def is_free(path: Path) -> bool:
    with path.open("w") as file:
        return locks.lock(file, locks.LOCK_EX | locks.LOCK_NB)


def test_sqlite_file_is_locked_for_the_length_of_the_block(database, tmp_path):
    path = tmp_path / "db.sqlite3.lock"
    with one_at_a_time(database):
        assert not is_free(path)
    assert is_free(path)


def test_lock_is_given_back_where_the_block_fails(database, tmp_path):
    with pytest.raises(RuntimeError), one_at_a_time(database):
        raise RuntimeError
    assert is_free(tmp_path / "db.sqlite3.lock")


def test_database_in_memory_needs_no_lock():
    with one_at_a_time(connection):
        pass


@pytest.mark.django_db
def test_migrate_waits_for_its_turn_and_gives_up_with_one_line(monkeypatch):
    def never(_: object) -> None:
        raise LockTimeout

    monkeypatch.setattr(migrate, "one_at_a_time", never)
    with pytest.raises(CommandError, match=r"^another process has been migrating this database for 120 s$"):
        call_command("migrate")
