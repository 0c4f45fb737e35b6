import datetime
import re

import pytest
import sqlglot
from django.db import connection
from django.test.utils import CaptureQueriesContext
from sqlglot import expressions

from tasks import raw_sql
from tasks.models import Task
from tests.conftest import AT

DIALECTS = {"microsoft": "tsql", "sqlite": "sqlite"}
LATER = AT + datetime.timedelta(days=1)
COLUMNS = ["id", "title", "duration", "version", "created_at", "updated_at"]

# Each text by its name and vendor, with the number of its parameters and what it must hold of them.
STATEMENTS = {
    ("RETRIEVE", "microsoft"): (raw_sql.RETRIEVE, 2),
    ("RETRIEVE", "sqlite"): (raw_sql.RETRIEVE, 2),
    **{
        (name, vendor): (getattr(raw_sql, name)[vendor], count)
        for name, count in {"RENAME": 5, "RENAME_VERSION": 6, "DELETE": 2, "DELETE_VERSION": 3}.items()
        for vendor in DIALECTS
    },
}


def every_statement():
    return pytest.mark.parametrize(
        ("name", "vendor", "sql", "parameters"),
        [(name, vendor, sql, parameters) for (name, vendor), (sql, parameters) in STATEMENTS.items()],
        ids=["-".join(key) for key in STATEMENTS],
    )


def parse(sql: str, vendor: str):
    """The one statement in the text, as the dialect reads it; the parameters are ``?``."""
    # T-SQL has the OUTPUT of a DELETE before the WHERE, where sqlglot does not know it; so its place is looked at here.
    before, output, where = sql.partition(" OUTPUT deleted.id")
    assert not output or (before, where[:7]) == ("DELETE FROM tasks_task", " WHERE ")
    (statement,) = sqlglot.parse((before + where + output).replace("%s", "?"), dialect=DIALECTS[vendor])
    return statement


@every_statement()
def test_text_is_one_statement_in_its_dialect_with_every_value_bound(name, vendor, sql, parameters):
    statement = parse(sql, vendor)
    kinds = {"RETRIEVE": expressions.Select, "RENAME": expressions.Update, "DELETE": expressions.Delete}
    assert isinstance(statement, kinds[name.removesuffix("_VERSION")])
    assert len(list(statement.find_all(expressions.Placeholder))) == parameters == sql.count("%s")
    assert not list(statement.find_all(expressions.Literal))


@every_statement()
def test_owner_and_id_stand_in_the_where_clause(name, vendor, sql, parameters):
    conditions = parse(sql, vendor).args["where"].this.sql()
    expected = "id = ? AND owner_id = ?" + (" AND version = ?" if name.endswith("_VERSION") else "")
    assert conditions == expected


@every_statement()
def test_columns_are_named_and_in_the_order_of_a_row(name, vendor, sql, parameters):
    statement = parse(sql, vendor)
    returned = statement if name == "RETRIEVE" else statement.args["returning"]
    expected = ["id"] if name.startswith("DELETE") else COLUMNS
    assert [column.name for column in returned.expressions] == expected
    assert not list(statement.find_all(expressions.Star))


def test_every_text_of_the_module_is_in_these_tests():
    texts = {name for name in vars(raw_sql) if re.fullmatch("[A-Z_]+", name)}
    assert texts == {name for name, _ in STATEMENTS}


def test_rows_columns_are_those_of_the_table():
    assert set(COLUMNS) | {"owner_id"} == {field.column for field in Task._meta.fields}


@pytest.fixture
def queries(db):
    with CaptureQueriesContext(connection) as captured:
        yield captured


def test_retrieve_yields_the_row_as_it_is_stored(make_task, queries):
    task = make_task(title="Äpfel 😀", created_at=AT)
    queries.initial_queries = len(connection.queries_log)
    row = raw_sql.retrieve(task_id=task.id, owner_id=1)
    assert row == raw_sql.TaskRow(task.id, "Äpfel 😀", 30, 1, AT, AT)
    assert [row.created_at.tzinfo, row.updated_at.tzinfo] == [datetime.UTC, datetime.UTC]
    assert len(queries) == 1


@pytest.mark.parametrize("at", [AT, AT.replace(microsecond=0), AT.replace(microsecond=1)])
def test_times_come_back_as_they_were_stored(make_task, at):
    task = make_task(created_at=at)
    assert raw_sql.retrieve(task_id=task.id, owner_id=1).created_at == at
    row = raw_sql.rename(task_id=task.id, owner_id=1, title="New", now=at)
    assert (row.created_at, row.updated_at) == (at, at)


@pytest.mark.parametrize("version", [None, 1])
def test_rename_changes_and_returns_the_row_by_one_statement(make_task, queries, version):
    task = make_task(created_at=AT)
    queries.initial_queries = len(connection.queries_log)
    row = raw_sql.rename(task_id=task.id, owner_id=1, title="New %s", now=LATER, version=version)
    assert len(queries) == 1
    assert queries[0]["sql"].strip().startswith("UPDATE tasks_task")
    assert row == raw_sql.TaskRow(task.id, "New %s", 30, row.version, AT, LATER)
    assert row.version != task.version
    assert raw_sql.retrieve(task_id=task.id, owner_id=1) == row


@pytest.mark.parametrize("version", [None, 1])
def test_delete_is_one_statement(make_task, queries, version):
    task = make_task()
    queries.initial_queries = len(connection.queries_log)
    assert raw_sql.delete(task_id=task.id, owner_id=1, version=version)
    assert len(queries) == 1
    assert not Task.objects.exists()


MISSES = pytest.mark.parametrize(
    ("offset", "owner_id", "version"),
    [
        pytest.param(0, 2, None, id="somebody else's"),
        pytest.param(0, 2, 1, id="somebody else's at its version"),
        pytest.param(1, 1, None, id="no such id"),
        pytest.param(0, 1, 2, id="another version"),
    ],
)


@MISSES
def test_rename_that_meets_no_row_changes_nothing(make_task, offset, owner_id, version):
    task = make_task()
    miss = raw_sql.rename(task_id=task.id + offset, owner_id=owner_id, title="New", now=LATER, version=version)
    assert miss is None
    assert Task.objects.values().get() == Task.objects.filter(title=task.title, version=1).values().get()


@MISSES
def test_delete_that_meets_no_row_deletes_nothing(make_task, offset, owner_id, version):
    task = make_task()
    assert raw_sql.delete(task_id=task.id + offset, owner_id=owner_id, version=version) is False
    assert Task.objects.filter(id=task.id).exists()


def test_only_the_named_row_is_touched(make_task):
    first, second, third = make_task(), make_task(), make_task(owner_id=2)
    raw_sql.rename(task_id=first.id, owner_id=1, title="New", now=LATER)
    raw_sql.delete(task_id=first.id, owner_id=1)
    assert set(Task.objects.values_list("id", "title", "version")) == {
        (second.id, second.title, 1),
        (third.id, third.title, 1),
    }


@pytest.mark.parametrize("title", ["'; DROP TABLE tasks_task; --", "%s", "100 % {} ?", '"', "\\"])
def test_title_is_only_ever_a_value(make_task, title):
    task = make_task()
    assert raw_sql.rename(task_id=task.id, owner_id=1, title=title, now=LATER).title == title
