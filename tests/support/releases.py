"""Recorded releases: a release's tables with rows in them, and the statements that its code sends.

`make freeze` records both for the newest version in CHANGELOG.md; tests/upgrades checks the current code against them.
"""

import json
import re
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from support.commands import PROGRAMS, output_of, program, run_in_service
from support.environment import new_secrets
from support.paths import CHECKOUT, SERVICES

FOLDER = CHECKOUT / "tests/upgrades"
# A fixed time for the dump, which would otherwise differ in each.
MIGRATED_AT = "2000-01-01 00:00:00"
# All migrations of each service.
EVERYTHING = tuple((service,) for service in SERVICES)

Rows = list[list[Any]]


def newest_version() -> str:
    """Return the newest version in CHANGELOG.md."""
    text = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions: list[str] = re.findall(r"^## (\d+\.\d+\.\d+) ", text, re.MULTILINE)
    return versions[0]


def recorded_versions() -> list[str]:
    """Return the recorded versions, oldest first."""
    return sorted((path.stem for path in FOLDER.glob("*.sql")), key=lambda version: [*map(int, version.split("."))])


def record(version: str) -> None:
    """Record the current code as a release."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "db.sqlite3")
        migrate(path)
        statements = {service: use_tables(path, service) for service in SERVICES}
        with closing(sqlite3.connect(path)) as database:
            database.execute("UPDATE django_migrations SET applied = ?", [MIGRATED_AT])
            database.commit()
            (FOLDER / f"{version}.sql").write_text("\n".join(database.iterdump()) + "\n", encoding="utf-8")
            for service in SERVICES:
                for statement, rows in zip(statements[service], replay(database, statements[service]), strict=True):
                    if statement["sql"].startswith("SELECT"):
                        statement["rows"] = rows
        release = {"migrations": {service: migration_files(service) for service in SERVICES}, "statements": statements}
    (FOLDER / f"{version}.json").write_text(json.dumps(release, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(version: str) -> dict[str, Any]:
    """Return the migrations and the statements of a release, by service."""
    release: dict[str, Any] = json.loads((FOLDER / f"{version}.json").read_text(encoding="utf-8"))
    return release


def load(version: str, path: Path) -> None:
    """Create the database as the release left it."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript((FOLDER / f"{version}.sql").read_text(encoding="utf-8"))


def migrate(path: Path, targets: Iterable[tuple[str, ...]] = EVERYTHING) -> None:
    """Migrate the file with the current code: everything, or to the targets (service, app, migration)."""
    for service, *target in targets:
        output_of(manage(path, service, "manage.py", "migrate", "--noinput", *target))


def use_tables(path: Path, service: str) -> list[dict[str, Any]]:
    """Insert a row into each of the service's tables; return the statements that its code sends."""
    operations = PROGRAMS / service / "plan_operations.py"
    sent: list[dict[str, Any]] = json.loads(output_of(manage(path, service, *program("any/use_tables"), operations)))
    return sent


def migration_files(service: str) -> list[dict[str, str]]:
    """Return app, name and digest of each of the service's migrations."""
    with tempfile.TemporaryDirectory() as folder:
        printed = output_of(manage(Path(folder, "none"), service, *program("any/migration_files")))
    files: list[dict[str, str]] = json.loads(printed)
    return files


def manage(path: Path, service: str, *arguments: str | Path) -> Any:
    """Run the service's Python on the file, with settings for all of its tables, including those of auth's admin."""
    settings = "auth_service.admin_settings" if service == "auth" else f"{service}_service.settings"
    env = {
        "DATABASE_URL": f"sqlite:///{path}",
        "REDIS_URL": "redis://nowhere.invalid",
        "DJANGO_SETTINGS_MODULE": settings,
        # Fixes the order in which Django inserts the rows of content types.
        "PYTHONHASHSEED": "0",
        **new_secrets(),
    }
    return run_in_service(service, *arguments, env=env)


def replay(database: sqlite3.Connection, statements: Iterable[dict[str, Any]]) -> list[Rows]:
    """Execute the statements and return the rows of each; their changes are rolled back."""
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("BEGIN")
    try:
        return [
            [[*row] for row in database.execute(statement["sql"], statement["parameters"])] for statement in statements
        ]
    finally:
        database.rollback()


def schema(database: sqlite3.Connection) -> set[tuple[str, ...]]:
    """Return the SQL of every table and index."""
    return {*database.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")}


def table_rows(database: sqlite3.Connection, *, columns: dict[str, list[str]] | None = None) -> dict[str, set[str]]:
    """Return the rows of each table as text, limited to ``columns`` if given."""
    columns = columns or table_columns(database)
    return {
        table: {repr(row) for row in database.execute(f"SELECT {', '.join(names)} FROM {table}")}
        for table, names in columns.items()
    }


def table_columns(database: sqlite3.Connection) -> dict[str, list[str]]:
    """Return the columns of each table."""
    names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    return {
        table: [f'"{column[1]}"' for column in database.execute(f"PRAGMA table_info({table})")]
        for (table,) in names.fetchall()
    }


if __name__ == "__main__":
    record(newest_version())
    print(f"recorded {newest_version()} in {FOLDER}")
