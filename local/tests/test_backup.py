"""The target and source of a backup; tests/local creates and restores backups."""

import re
from pathlib import Path

import pytest

from local import backup
from local.errors import CommandError

SQLITE = {"DATABASE_URL": "sqlite:////state/db.sqlite3"}
SQL_SERVER = {"DATABASE_URL": "mssql://user:password@server/tasks"}


def test_a_name_is_a_path_of_this_machine_or_of_the_server() -> None:
    assert backup.choose_target(["a name"], SQLITE) == str(Path.cwd() / "a name")
    assert backup.choose_target(["/a path"], SQLITE) == "/a path"
    assert backup.choose_target(["C:\\backups\\tasks.bak"], SQL_SERVER) == "C:\\backups\\tasks.bak"


def test_without_a_name_it_is_a_new_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backup, "FOLDER", tmp_path / "backups")

    target = backup.choose_target([], SQLITE)

    assert re.fullmatch(rf"{tmp_path}/backups/\d{{8}}T\d{{6}}Z\.sqlite3", target)


def test_sql_server_is_told_where() -> None:
    with pytest.raises(CommandError, match="FILE: name a path or URL for SQL Server"):
        backup.choose_target([], SQL_SERVER)


@pytest.mark.parametrize("env", [SQLITE, SQL_SERVER])
def test_a_restore_is_told_what(env: dict[str, str]) -> None:
    with pytest.raises(CommandError, match="FILE: name "):
        backup.named_file([], env)
