"""The raw T-SQL of the package is read in its dialect, also where no SQL Server is at hand.

CREATE LOGIN, CREATE USER, ALTER USER and ALTER DATABASE, which sqlglot does not know, are run by tests/sqlserver alone.
"""

import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import ErrorLevel, expressions

import servicekit
from servicekit import locks
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


@pytest.mark.parametrize("question", [database_login._USER, database_login._COLUMNS])
def test_questions_about_a_login(question):
    assert parse(question) == [expressions.Select]


@pytest.mark.parametrize("statement", database_login._grants("[tasks_auth]"))
def test_rights(statement):
    assert parse(statement) == [expressions.Grant]


class Columns:
    """A cursor after the question for all columns."""

    def execute(self, sql: str) -> None:
        assert sql == database_login._COLUMNS

    def fetchall(self) -> list[tuple[str, str, str]]:
        return [("dbo", "tasks_task", "id"), ("dbo", "tasks_task", "a]b"), ("other", "more", "id")]


def test_rights_of_an_earlier_version():
    statements = database_login._revokes(Columns(), "[tasks_auth]")
    assert [parse(statement) for statement in statements] == [[expressions.Revoke]] * 10
    assert statements[:5] == [
        "REVOKE SELECT ON [dbo].[tasks_task] FROM [tasks_auth]",
        "REVOKE INSERT ON [dbo].[tasks_task] FROM [tasks_auth]",
        "REVOKE UPDATE ON [dbo].[tasks_task] FROM [tasks_auth]",
        "REVOKE DELETE ON [dbo].[tasks_task] FROM [tasks_auth]",
        "REVOKE SELECT ON [dbo].[tasks_task] ([id], [a]]b]) FROM [tasks_auth]",
    ]


def statements_in_calls() -> list[str]:
    """Every text that is passed to execute() as it stands."""
    texts = []
    for path in Path(servicekit.__file__).parent.rglob("*.py"):
        texts += re.findall(r'\.execute\(f?"([^"]+)"', path.read_text())
    return [re.sub(r"\{\w+\}", "[x]", text) for text in texts]


@pytest.mark.parametrize("statement", statements_in_calls())
def test_every_other_statement(statement):
    if statement.startswith(NOT_KNOWN):
        assert "%s" not in statement
    else:
        assert expressions.Command not in parse(statement)


def test_there_are_some():
    assert len(statements_in_calls()) >= 7
