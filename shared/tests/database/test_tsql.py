"""The raw T-SQL of the package parses in its dialect, which needs no SQL Server.

CREATE LOGIN, CREATE USER, ALTER USER and ALTER DATABASE, which sqlglot does not support, are run in tests/sqlserver.
"""

import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import ErrorLevel, expressions

import servicekit
from servicekit.database import locks
from servicekit.database.backups import sqlite, sqlserver
from servicekit.database.sqlite import base as sqlite_backend
from servicekit.management.commands import database, database_login

NOT_KNOWN = ("CREATE LOGIN", "CREATE USER", "ALTER USER", "ALTER DATABASE")


def parse(sql: str) -> list[type]:
    statements = sqlglot.parse(sql.replace("%s", "?"), dialect="tsql", error_level=ErrorLevel.RAISE)
    return [type(statement) for statement in statements]


def test_batch_that_takes_the_lock():
    kinds = [expressions.Set, expressions.Declare, expressions.Execute, expressions.Select]
    assert parse(locks._GET_LOCK) == kinds


def test_question_about_snapshots():
    assert parse(database._READS_SNAPSHOTS) == [expressions.Select]


@pytest.mark.parametrize("name", ["_USER", "_ROLES", "_GRANTED", "_COLUMNS", "_APPS"])
def test_questions_about_a_login(name):
    assert parse(getattr(database_login, name)) == [expressions.Select]


@pytest.mark.parametrize("name", ["_EDITION", "_DATABASE_ID"])
def test_questions_before_a_backup_or_restore(name):
    assert parse(getattr(sqlserver, name)) == [expressions.Select]


NEEDED = [
    ("accounts_user", None, "SELECT"),
    ("accounts_user", None, "UPDATE"),
    ("tasks_task", "id", "SELECT"),
    ("tasks_task", "a]b", "SELECT"),
]


def test_rights():
    statements = database_login._statements("GRANT", [("a]b", None, "SELECT"), *NEEDED], "TO [tasks_auth]")
    assert [parse(statement) for statement in statements] == [[expressions.Grant]] * 4
    assert statements == [
        "GRANT SELECT ON [a]]b] TO [tasks_auth]",
        "GRANT SELECT ON [accounts_user] TO [tasks_auth]",
        "GRANT UPDATE ON [accounts_user] TO [tasks_auth]",
        "GRANT SELECT ON [tasks_task] ([id], [a]]b]) TO [tasks_auth]",
    ]


class Server:
    """A fake cursor on a database that lists these permissions of a user."""

    def __init__(self, *granted: tuple[str, str | None, str]) -> None:
        self.granted = granted

    def execute(self, sql: str, parameters: object = ()) -> None:
        self.rows = {
            database_login._GRANTED: self.granted,
            database_login._COLUMNS: [
                ("accounts_user", "id"),
                ("tasks_task", "id"),
                ("tasks_task", "version"),
                ("django_session", "key"),
                ("tasksheet", "id"),
            ],
            database_login._APPS: [("accounts",), ("tasks",)],
        }[sql]

    def fetchall(self) -> object:
        return self.rows


def test_what_a_server_shows_is_taken_where_it_is_not_needed_and_ours():
    more = [
        ("accounts_user", None, "DELETE"),
        ("tasks_task", None, "SELECT"),
        ("tasks_task", "version", "SELECT"),
        ("django_session", None, "ALTER"),
    ]
    server = Server(*NEEDED, *more, ("tasksheet", None, "SELECT"))

    assert database_login._not_needed(server, "tasks_auth", NEEDED) == more
    assert database_login._not_needed(Server(*NEEDED), "tasks_auth", NEEDED) == []


def test_of_a_server_that_shows_no_rights_all_that_are_not_needed_are_taken():
    statements = database_login._statements(
        "REVOKE", database_login._not_needed(Server(), "tasks_auth", NEEDED), "FROM [tasks_auth] CASCADE"
    )

    assert [parse(statement) for statement in statements] == [[expressions.Revoke]] * len(statements)
    on = {"accounts_user": "INSERT DELETE", "tasks_task": "SELECT INSERT UPDATE DELETE"}
    on["django_session"] = on["tasks_task"]
    assert statements == [
        *(f"REVOKE {r} ON [{table}] FROM [tasks_auth] CASCADE" for table in on for r in on[table].split()),
        "REVOKE SELECT ON [tasks_task] ([version]) FROM [tasks_auth] CASCADE",
        "REVOKE SELECT ON [django_session] ([key]) FROM [tasks_auth] CASCADE",
    ]


def statements_in_calls() -> list[str]:
    """Return every string literal that is passed to execute(), except those for SQLite only."""
    texts = []
    for_sqlite = {Path(sqlite.__file__), Path(sqlite_backend.__file__)}
    for path in {*Path(servicekit.__file__).parent.rglob("*.py")} - for_sqlite:
        texts += re.findall(r'\.execute\(f?"([^"]+)"', path.read_text())
    return [re.sub(r"\{\w+\}", "[x]", text) for text in texts]


@pytest.mark.parametrize("statement", sorted(statements_in_calls()))
def test_every_other_statement(statement):
    if statement.startswith(NOT_KNOWN):
        assert "%s" not in statement
    else:
        assert expressions.Command not in parse(statement)


def test_there_are_some():
    assert len(statements_in_calls()) >= 7
