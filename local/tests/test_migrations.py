import contextlib
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local import migrations
from local.environment import SERVICES
from local.errors import CommandError

# Replaces a service's Python: applies one migration, and records the call.
PROGRAM = """#!{python}
import os, sqlite3
from pathlib import Path

service = Path.cwd().name
with open(os.environ["CALLS"], "a") as calls:
    calls.write(service + " ")
if service == os.environ.get("BROKEN"):
    raise SystemExit("no such table: broken")
with sqlite3.connect(os.environ["DATABASE"], timeout=10, isolation_level=None) as database:
    database.execute("CREATE TABLE IF NOT EXISTS django_migrations (id integer PRIMARY KEY, app, name, applied)")
    database.execute("INSERT INTO django_migrations (app, name, applied) SELECT ?, '0001', 'now' WHERE NOT EXISTS"
                     " (SELECT 1 FROM django_migrations WHERE app = ?)", [service, service])
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for service in SERVICES:
        folder = tmp_path / "services" / service / service / "migrations"
        folder.mkdir(parents=True)
        (folder / "0001_initial.py").touch()
        (tmp_path / "services" / service / "requirements.txt").write_text("django==5.2", encoding="utf-8")
        program = tmp_path / "environments" / service / "bin/python"
        program.parent.mkdir(parents=True)
        program.write_text(PROGRAM.format(python=sys.executable), encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setattr(migrations, "CHECKOUT", tmp_path)
    return tmp_path


@pytest.fixture
def env(checkout: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "RUN_DIR": str(checkout),
        "ENVIRONMENTS": str(checkout / "environments"),
        "DATABASE_URL": f"sqlite:///{checkout}/db.sqlite3",
        "DATABASE": str(checkout / "db.sqlite3"),
        "CALLS": str(checkout / "calls"),
    }


@pytest.fixture
def migrated(env: dict[str, str]) -> Callable[..., list[str]]:
    """A function that migrates, and returns the services whose command ran."""

    def migrate(**changes: str) -> list[str]:
        calls = Path(env["CALLS"])
        calls.write_text("", encoding="utf-8")
        migrations.migrate({**env, **changes})
        return sorted(calls.read_text(encoding="utf-8").split())

    return migrate


ALL = sorted(SERVICES)


def test_nothing_is_asked_where_nothing_has_changed(migrated: Callable[..., list[str]]) -> None:
    assert [migrated(), migrated(), migrated()] == [ALL, [], []]


def test_a_file_that_is_gone_is_made_again(migrated: Callable[..., list[str]], env: dict[str, str]) -> None:
    migrated()
    Path(env["DATABASE"]).unlink()
    assert [migrated(), migrated()] == [ALL, []]


def test_an_older_file_in_its_place_is_brought_up_to_date(
    migrated: Callable[..., list[str]], env: dict[str, str]
) -> None:
    migrated()
    with contextlib.closing(sqlite3.connect(env["DATABASE"], isolation_level=None)) as database:
        database.execute("DELETE FROM django_migrations WHERE app = 'tasks'")
    assert [migrated(), migrated()] == [ALL, []]


@pytest.mark.parametrize(
    "changed",
    [
        "tasks/tasks/migrations/0002_more.py",
        "auth/requirements.txt",
        "auth/auth_service/admin_settings.py",
    ],
)
def test_what_a_new_version_brings_is_applied(migrated: Callable[..., list[str]], checkout: Path, changed: str) -> None:
    migrated()
    file = checkout / "services" / changed
    file.parent.mkdir(exist_ok=True)
    file.write_text("new", encoding="utf-8")
    assert [migrated(), migrated()] == [ALL, []]


def test_what_a_new_version_brings_meanwhile_is_applied_by_the_next_start(
    migrated: Callable[..., list[str]], checkout: Path
) -> None:
    program = checkout / "environments/tasks/bin/python"
    pull = "Path('tasks/migrations/0002_more.py').touch()"
    program.write_text(f"{program.read_text(encoding='utf-8')}\n{pull}\n", encoding="utf-8")
    assert [migrated(), migrated(), migrated()] == [ALL, ALL, []]


def test_what_failed_is_tried_again(migrated: Callable[..., list[str]]) -> None:
    with pytest.raises(CommandError, match=r"tasks cannot migrate the database: no such table: broken \(a version"):
        migrated(BROKEN="tasks")
    assert migrated() == ALL


def test_a_database_of_a_server_is_asked_each_time(migrated: Callable[..., list[str]]) -> None:
    url = "mssql://sa:secret@127.0.0.1:1/tasks"
    assert [migrated(DATABASE_URL=url), migrated(DATABASE_URL=url)] == [ALL, ALL]
