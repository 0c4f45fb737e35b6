import datetime
import re

import pytest
import sqlglot
from django.db import connection
from django.test.utils import CaptureQueriesContext
from sqlglot import expressions

from tasks import raw_sql
from tasks.models import Event, Task
from tests.conftest import AT, change, sent

DIALECTS = {"microsoft": "tsql", "sqlite": "sqlite"}
LATER = AT + datetime.timedelta(days=1)
COLUMNS = ["id", "title", "duration", "version", "created_at", "updated_at"]
EVENT_COLUMNS = [field.column for field in Event._meta.fields if field.column != "id"]

# Each statement by name and vendor.
STATEMENTS = {
    (name, vendor): text[vendor] if isinstance(text, dict) else text
    for name, text in vars(raw_sql).items()
    if re.fullmatch("[A-Z]+", name)
    for vendor in DIALECTS
}
ONE_TASK = [key for key in STATEMENTS if key[0] in ("RETRIEVE", "RENAME", "DELETE")]
CHANGES = [key for key in STATEMENTS if key[0] != "RETRIEVE"]


def each(keys):
    return pytest.mark.parametrize(("name", "vendor"), keys, ids=["-".join(key) for key in keys])


def parse(name: str, vendor: str):
    """Return the statements of the text, parsed in the vendor's dialect; the parameters are ``?``."""
    sql = STATEMENTS[name, vendor].replace("%s", "?")
    # sqlglot does not support this clause of a DELETE, which is tested below.
    sql = re.sub(r"OUTPUT\s(?=\s+\?).*?\)\s(?=WHERE)", "", sql, flags=re.DOTALL)
    parsed = [statement for statement in sqlglot.parse(sql, dialect=DIALECTS[vendor]) if statement]
    assert not any(
        statement.find(expressions.Command) for statement in parsed if not isinstance(statement, expressions.Set)
    )
    return parsed


def statement_of(name: str, vendor: str):
    """Return the only statement that reads or changes the tasks."""
    kinds = expressions.Select | expressions.Insert | expressions.Update | expressions.Delete
    (statement,) = [
        statement
        for statement in parse(name, vendor)
        if isinstance(statement, kinds)
        and next(statement.find_all(expressions.Table), None) is not None
        and next(statement.find_all(expressions.Table)).name == "tasks_task"
    ]
    return statement


@each(list(STATEMENTS))
def test_every_value_is_bound(name, vendor):
    allowed = {"0", "1", "task.created", "task.renamed", "task.deleted"}
    literals = {
        literal.name
        for part in parse(name, vendor)
        for literal in part.find_all(expressions.Literal, expressions.National)
    }
    assert literals <= allowed
    assert "%" not in STATEMENTS[name, vendor].replace("%s", "")


@each(ONE_TASK)
def test_owner_and_id_stand_in_the_where_clause(name, vendor):
    conditions = statement_of(name, vendor).args["where"].this.sql()
    assert conditions == "id = ? AND owner_id = ?" + (" AND ? IN (version, 0)" if name != "RETRIEVE" else "")


@each([("RETRIEVE", "microsoft"), ("RENAME", "microsoft"), ("RENAME", "sqlite")])
def test_columns_are_named_and_in_the_order_of_a_row(name, vendor):
    statement = statement_of(name, vendor)
    returned = statement if name == "RETRIEVE" else statement.args["returning"]
    assert [column.name for column in returned.expressions] == COLUMNS
    assert not list(statement.find_all(expressions.Star))


@each(CHANGES)
def test_each_change_names_every_column_of_its_event(name, vendor):
    (named,) = re.findall(r"INTO tasks_event \(([^)]*)\)", STATEMENTS[name, vendor])
    assert [column.strip() for column in named.split(",")] == EVENT_COLUMNS


@each([("DELETE", "sqlite"), ("RENAME", "microsoft"), ("RENAME", "sqlite")])
def test_the_event_of_a_change_is_found_by_owner_and_id(name, vendor):
    (event,) = [part for part in parse(name, vendor) if isinstance(part, expressions.Insert)]
    expected = "? IN (version, 0)" if name == "DELETE" else "version = ?"
    assert event.expression.args["where"].this.sql() == f"id = ? AND owner_id = ? AND {expected}"


@each([("CREATE", "microsoft"), ("RENAME", "microsoft")])
def test_what_is_two_statements_is_one_transaction_that_any_error_rolls_back(name, vendor):
    lines = STATEMENTS[name, vendor].strip().splitlines()
    assert (lines[:2], lines[-2:]) == (
        ["SET NOCOUNT ON; SET XACT_ABORT ON;", "BEGIN TRANSACTION;"],
        ["COMMIT;", "SET XACT_ABORT OFF; SET NOCOUNT OFF;"],
    )


def test_rows_columns_are_those_of_the_table():
    assert set(COLUMNS) | {"owner_id"} == {field.column for field in Task._meta.fields}


@pytest.fixture
def queries(db):
    with CaptureQueriesContext(connection) as captured:
        yield captured


def test_create_stores_and_returns_the_row(queries):
    row = raw_sql.create(owner_id=7, title="Äpfel 😀", duration=30, now=AT)
    assert sent(queries) == change("INSERT")
    assert row == raw_sql.TaskRow(row.id, "Äpfel 😀", 30, row.version, AT, AT)
    assert raw_sql.retrieve(task_id=row.id, owner_id=7) == row


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


@pytest.mark.parametrize("version", [raw_sql.ANY_VERSION, 1])
def test_rename_changes_and_returns_the_row(make_task, queries, version):
    task = make_task(created_at=AT)
    queries.initial_queries = len(connection.queries_log)
    row = raw_sql.rename(task_id=task.id, owner_id=1, title="New %s", now=LATER, version=version)
    assert sent(queries) == change("UPDATE")
    assert row == raw_sql.TaskRow(task.id, "New %s", 30, row.version, AT, LATER)
    assert row.version != task.version
    assert raw_sql.retrieve(task_id=task.id, owner_id=1) == row


@pytest.mark.parametrize("version", [raw_sql.ANY_VERSION, 1])
def test_delete(make_task, queries, version):
    task = make_task()
    queries.initial_queries = len(connection.queries_log)
    assert raw_sql.delete(task_id=task.id, owner_id=1, now=LATER, version=version)
    assert sent(queries) == change("INSERT")
    assert not Task.objects.exists()


MISSES = pytest.mark.parametrize(
    ("offset", "owner_id", "version"),
    [
        pytest.param(0, 2, raw_sql.ANY_VERSION, id="another user's"),
        pytest.param(0, 2, 1, id="another user's at its version"),
        pytest.param(1, 1, raw_sql.ANY_VERSION, id="no such id"),
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
    assert not raw_sql.delete(task_id=task.id + offset, owner_id=owner_id, now=LATER, version=version)
    assert Task.objects.filter(id=task.id).exists()


def test_only_the_named_row_is_touched(make_task):
    first, second, third = make_task(), make_task(), make_task(owner_id=2)
    raw_sql.rename(task_id=first.id, owner_id=1, title="New", now=LATER)
    raw_sql.delete(task_id=first.id, owner_id=1, now=LATER)
    assert set(Task.objects.values_list("id", "title", "version")) == {
        (second.id, second.title, 1),
        (third.id, third.title, 1),
    }


@pytest.mark.parametrize("title", ["'; DROP TABLE tasks_task; --", "%s", "100 % {} ?", '"', "\\"])
def test_title_is_only_ever_a_value(make_task, title):
    task = make_task()
    assert raw_sql.rename(task_id=task.id, owner_id=1, title=title, now=LATER).title == title
