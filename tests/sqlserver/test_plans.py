"""Every statement of a request seeks, with its values bound as the drivers bind them. PLAN_ROWS says among how many.

Both servers return the plan of what they ran, estimates and real rows, as a result after the statement's own:
https://learn.microsoft.com/en-us/sql/t-sql/statements/set-statistics-profile-transact-sql
"""

import json
import os
import re

import pytest

ROWS = int(os.environ.get("PLAN_ROWS", "50000"))
DRIVERS = ("pyodbc", "mssql_python")

# As many tasks, of a thousand users, and as many sessions.
FILL = f"""
WITH digits AS (SELECT n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) v (n)),
     numbers AS (
        SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n + 100000 * f.n AS n
        FROM digits a, digits b, digits c, digits d, digits e, digits f
     )
INSERT INTO {{into}}
FROM numbers WHERE n < {ROWS}
"""
NOW = "CAST('2026-01-01T00:00:00+00:00' AS datetimeoffset)"
TASKS = FILL.format(
    into="tasks_task (owner_id, title, duration, version, created_at, updated_at)"
    f" SELECT n % 1000 + 1, N'Task', 30, 1, DATEADD(second, n, {NOW}), {NOW}"
)
USERS = FILL.replace(f"n < {ROWS}", "n < 1000").format(
    into="accounts_user (username, password, email, is_active, is_staff, date_joined)"
    f" SELECT CONCAT(N'user', n), N'', N'', 1, 0, {NOW}"
)
SESSIONS = FILL.format(
    into="accounts_session (id, user_id, created_at, rotated_at, expires_at, refresh_jti, previous_jti, user_agent,"
    f" address) SELECT RIGHT(CONCAT(N'{'0' * 32}', n), 32), n % 1000 + 1, {NOW}, {NOW}, {NOW}, N'', N'', N'', N''"
)

# Runs each operation in a transaction that is undone, records what it sends, and sends that again for its plan.
SCRIPT = """
import datetime, json, os, django
django.setup()
from django.db import connection, transaction

def plan(sql, parameters):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        if cursor.description:
            cursor.fetchall()
        rows = []
        while cursor.nextset():
            if cursor.description:
                rows += [" ".join(map(str, row)) for row in cursor.fetchall()]
        return rows

def plans(operation):
    sent = []
    def record(execute, sql, parameters, many, context):
        sent.append((sql, parameters))
        return execute(sql, parameters, many, context)
    with transaction.atomic():
        with connection.execute_wrapper(record):
            operation()
        transaction.set_rollback(True)
    sent = [(sql, parameters) for sql, parameters in sent if "accounts_" in sql or "tasks_" in sql or "jobs_" in sql]
    for sql, parameters in sent:
        with transaction.atomic():
            yield sql.strip(), plan(sql, parameters)
            transaction.set_rollback(True)

with connection.cursor() as cursor:
    cursor.execute("SELECT @@VERSION")
    prefix = "BABELFISH_" if "Babelfish" in cursor.fetchone()[0] else ""
    cursor.execute(f"SET {prefix}STATISTICS PROFILE ON")

now = datetime.datetime.now(datetime.UTC)
OPERATIONS
result = {name: list(plans(operation)) for name, operation in operations.items()}
print(json.dumps(result))
"""
OPERATIONS = {
    "tasks": """
from servicekit.http.pagination import Cursor, Page
from tasks import raw_sql, selectors, services
first = selectors.list_tasks(owner_id=7, page=Page(limit=4, before=None))[0]
before = Cursor(first[-1].created_at, first[-1].id)
task_id = first[0].id
key = {"task_id": task_id, "owner_id": 7}
operations = {
    "list": lambda: selectors.list_tasks(owner_id=7, page=Page(limit=4, before=None)),
    "list, a further page": lambda: selectors.list_tasks(owner_id=7, page=Page(limit=4, before=before)),
    "retrieve": lambda: raw_sql.retrieve(**key),
    "update": lambda: raw_sql.rename(**key, title="New", now=now),
    "update of a version": lambda: raw_sql.rename(**key, title="New", now=now, version=1),
    "delete": lambda: raw_sql.delete(**key, now=now),
    "delete of a version": lambda: raw_sql.delete(**key, now=now, version=1),
}
""",
    "auth": """
import uuid
from accounts.sessions.models import Session
from accounts.users.models import User
session_id = uuid.UUID(int=0x42)
operations = {
    "user by name": lambda: User.objects.filter(username="user42").first(),
    "user by id": lambda: User.objects.filter(id=42, is_active=True).first(),
    "session by id": lambda: Session.objects.filter(id=session_id, user_id=43).first(),
    "rotation": lambda: Session.objects.filter(id=session_id, user_id=43, refresh_jti="a").update(refresh_jti="b"),
    "sessions of a user": lambda: list(Session.objects.filter(user_id=43)),
}
""",
    "scheduler": """
from jobs.selectors import iterate_tasks
operations = {"report": lambda: list(iterate_tasks(owner_id=7))}
""",
}

# SQL Server fuses a change of one row with the seek for it: only such a change has a WHERE, here by the primary key.
SEEK = re.compile(r"Index Seek\(|Clustered Index (?:Update|Delete)\(OBJECT:.* WHERE:\(.*\.\[id\] ?= ?|Index Cond:")
SCAN = re.compile(r"Table Scan|Index Scan\(|Seq Scan")


@pytest.fixture(scope="module")
def database(server, manage) -> str:
    url = server.made()
    for service in OPERATIONS:
        assert manage("migrate", "--verbosity", "0", service=service, DATABASE_URL=url).returncode == 0
    fill = f"import django\ndjango.setup()\nfrom django.db import connection\nfor sql in {[TASKS, USERS, SESSIONS]}:\n"
    filled = manage("-c", f"{fill}    connection.cursor().execute(sql)", DATABASE_URL=f"{url}&query_timeout=110")
    assert filled.returncode == 0, filled.stderr
    return url


@pytest.mark.parametrize("python_driver", DRIVERS)
@pytest.mark.parametrize("service", OPERATIONS)
def test_every_statement_seeks(manage, database: str, service: str, python_driver: str) -> None:
    url = f"{database}&python_driver={python_driver}"
    result = manage("-c", SCRIPT.replace("OPERATIONS", OPERATIONS[service]), service=service, DATABASE_URL=url)
    assert result.returncode == 0, result.stderr

    operations: dict[str, list[tuple[str, list[str]]]] = json.loads(result.stdout.splitlines()[-1])

    for name, statements in operations.items():
        assert statements, name
        for sql, plan in statements:
            text = "\n".join(plan)
            print(f"{service}, {name}, {python_driver}:\n{sql}\n{text}\n")
            assert SEEK.search(text), text
            assert not SCAN.search(text), text


@pytest.mark.parametrize(
    ("line", "seeks"),
    [
        (
            "|--Clustered Index Delete(OBJECT:([t].[dbo].[tasks_task].[PK]), WHERE:([t].[dbo].[tasks_task].[id]=[@1]))",
            1,
        ),
        (
            "|--Clustered Index Update(OBJECT:([t].[dbo].[tasks_task].[PK]),"
            " SET:([t].[dbo].[tasks_task].[title] = [@1]), WHERE:([t].[dbo].[tasks_task].[id]=[@2]))",
            1,
        ),
        ("|--Clustered Index Seek(OBJECT:([t].[dbo].[tasks_task].[PK]), SEEK:([t].[dbo].[tasks_task].[id]=[@1]))", 1),
        ("|--Clustered Index Update(OBJECT:([t].[dbo].[tasks_task].[PK]), SET:([title] = [@1]))", 0),
        ("|--Clustered Index Scan(OBJECT:([t].[dbo].[tasks_task].[PK]), WHERE:([t].[dbo].[tasks_task].[id]=[@1]))", 0),
    ],
)
def test_what_counts_as_a_seek_in_plans_of_sql_server(line: str, seeks: int) -> None:
    """From Microsoft's documentation and others' plans: no server of Microsoft's was at hand."""
    assert bool(SEEK.search(line) and not SCAN.search(line)) == bool(seeks)


# The type of a bound value decides whether the column or the value is converted where the two differ.
BOUND = """
import datetime, json, django
django.setup()
from django.db import connection
adapt = connection.ops.adapt_datetimefield_value
now = datetime.datetime.now(datetime.UTC)
values = {"small": 7, "large": 2**63 - 1, "text": "x", "time": adapt(now)}
types = {}
for name, value in values.items():
    with connection.cursor() as cursor:
        cursor.execute("SELECT CAST(SQL_VARIANT_PROPERTY(%s, 'BaseType') AS nvarchar(128))", [value])
        types[name] = cursor.fetchone()[0]
print(json.dumps(types))
"""


@pytest.mark.parametrize("python_driver", DRIVERS)
def test_no_value_makes_the_server_convert_a_column(manage, server, python_driver: str) -> None:
    result = manage("-c", BOUND, DATABASE_URL=server.made(python_driver=python_driver))
    assert result.returncode == 0, result.stderr
    types = json.loads(result.stdout.splitlines()[-1])

    # Each equal to the column's type, or lower in the order of types, so that it is the value that is converted. The
    # compatible server says varchar of every text; test_tables.py holds that no column is one.
    # https://learn.microsoft.com/en-us/sql/t-sql/data-types/data-type-precedence-transact-sql
    assert types["small"] in ("tinyint", "smallint", "int", "bigint")
    assert types["large"] == "bigint"
    assert types["text"] in ("nvarchar", "varchar")
    assert types["time"] in ("nvarchar", "datetime2", "datetimeoffset")
