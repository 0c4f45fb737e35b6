"""A release's database survives an upgrade, and the release's code keeps working after the upgrade's migrations.

For each release, the dump in this folder contains its tables with a row in each, and the .json file its migrations and
its code's statements: those of the ORM for every model, and the service's own. They are sent to SQLite; SQL Server uses
the same migrations but has its own rules for what may be altered.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support import releases
from support.paths import SERVICES

VERSIONS = releases.recorded_versions()


@pytest.fixture
def upgraded(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    """The release's database, migrated by the current code."""
    path = tmp_path / "db.sqlite3"
    releases.load(request.param, path)
    releases.migrate(path)
    with closing(sqlite3.connect(path)) as database:
        yield database


def test_the_newest_version_is_recorded() -> None:
    assert VERSIONS[-1] == releases.newest_version(), "make freeze"


def test_the_current_code_can_be_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "FOLDER", tmp_path)
    releases.record("9.9.9")
    texts = [statement["sql"] for statement in releases.read("9.9.9")["statements"]["tasks"]]
    # The statements of a batch, each by itself.
    assert sum(text.startswith("INSERT INTO tasks_event (\n") for text in texts) >= 3


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("service", SERVICES)
def test_the_migrations_of_a_release_are_there_unchanged(version: str, service: str) -> None:
    released = releases.read(version)["migrations"][service]
    assert released
    present = releases.migration_files(service)

    changed = [migration for migration in released if migration not in present]

    assert changed == [], f"{version} contains these migrations; add a new migration instead of changing one"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_migrations_of_a_release_create_its_tables(version: str, tmp_path: Path) -> None:
    """A change to code that a migration refers to, such as a custom field, may change its tables too."""
    migrations = releases.read(version)["migrations"]
    releases.load(version, tmp_path / "released")

    last = {(service, file["app"]): file["name"] for service in SERVICES for file in migrations[service]}
    releases.migrate(tmp_path / "present", [(service, app, name) for (service, app), name in last.items()])

    with closing(sqlite3.connect(tmp_path / "released")) as old, closing(sqlite3.connect(tmp_path / "present")) as new:
        assert releases.schema(new) == releases.schema(old)


@pytest.mark.parametrize(("version", "upgraded"), [(version, version) for version in VERSIONS], indirect=["upgraded"])
def test_every_row_of_a_release_is_there_after_the_upgrade(
    version: str, upgraded: sqlite3.Connection, tmp_path: Path
) -> None:
    releases.load(version, tmp_path / "released")
    with closing(sqlite3.connect(tmp_path / "released")) as released:
        present = releases.table_columns(upgraded)
        # A table or column may be dropped in the release after the one that stopped using it.
        kept = {
            table: [name for name in names if name in present[table]]
            for table, names in releases.table_columns(released).items()
            if table in present
        }
        before = releases.table_rows(released, columns=kept)
        after = releases.table_rows(upgraded, columns=kept)

    assert all(before.values())
    assert {table: rows - after[table] for table, rows in before.items() if rows - after[table]} == {}


@pytest.mark.parametrize("upgraded", VERSIONS[-1:], indirect=True)
@pytest.mark.parametrize("service", SERVICES)
def test_the_code_of_the_last_release_works_on_the_tables_of_the_present(
    upgraded: sqlite3.Connection, service: str
) -> None:
    statements = releases.read(VERSIONS[-1])["statements"][service]
    assert {"INSERT", "SELECT", "UPDATE", "DELETE"} <= {statement["sql"].split()[0] for statement in statements}

    found = releases.replay(upgraded, statements)

    for statement, rows in zip(statements, found, strict=True):
        assert [row for row in statement.get("rows", []) if row not in rows] == [], statement["sql"]


@pytest.mark.parametrize("upgraded", VERSIONS[-1:], indirect=True)
@pytest.mark.parametrize(
    ("service", "change", "error"),
    [
        ("tasks", "ALTER TABLE tasks_task RENAME COLUMN duration TO minutes", "no such column|no column named"),
        ("auth", "ALTER TABLE accounts_session DROP COLUMN user_agent", "no such column|no column named"),
        ("scheduler", "CREATE UNIQUE INDEX one_run ON jobs_run (state)", "UNIQUE constraint failed"),
        ("scheduler", "DROP TABLE webhooks_gap", "no such table"),
    ],
)
def test_a_change_that_the_last_release_does_not_survive_is_found(
    upgraded: sqlite3.Connection, service: str, change: str, error: str
) -> None:
    upgraded.execute(change)

    with pytest.raises(sqlite3.Error, match=error):
        releases.replay(upgraded, releases.read(VERSIONS[-1])["statements"][service])
