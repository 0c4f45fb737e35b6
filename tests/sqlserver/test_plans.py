"""Every statement of a request uses an index seek on PLAN_ROWS rows, with values bound by the drivers.

The servers return the executed plan, with estimated and actual rows, as a result after the statement's own:
https://learn.microsoft.com/en-us/sql/t-sql/statements/set-statistics-profile-transact-sql
"""

import json
import os
import re

import pytest

from support.commands import PROGRAMS, manage, output_of, program
from support.paths import SERVICES
from support.sqlserver import DRIVERS, Server

ROWS = int(os.environ.get("PLAN_ROWS", "50000"))

# Creates ROWS tasks and ROWS sessions of a thousand users.
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
ENDED_SESSIONS = FILL.format(
    into="accounts_endedsession (session_id, expires_at)"
    f" SELECT RIGHT(CONCAT(N'{'0' * 32}', n), 32), DATEADD(second, n, {NOW})"
)
ENDPOINTS = FILL.replace(f"n < {ROWS}", "n < 1000").format(
    into="webhooks_endpoint (owner_id, slot, creation_key, creation_hash, url, events, enabled, disabled_reason,"
    " secret, previous_secret, previous_until, failures, failing_since, due_at, claim, claimed_until, created_at,"
    " updated_at)"
    f" SELECT n + 1, 0, CONCAT(N'', n), N'', N'https://receiver.example/', N'task.created', 1, N'', N'', N'', {NOW},"
    f" 0, {NOW}, CAST('9999-01-01T00:00:00+00:00' AS datetimeoffset), N'', {NOW}, {NOW}, {NOW}"
)
DELIVERIES = FILL.format(
    into="webhooks_delivery (message_id, type, event_id, task_id, state, due_at, attempts, attempted_at, status,"
    " latency_ms, error, response, created_at, endpoint_id)"
    f" SELECT RIGHT(CONCAT(N'{'0' * 32}', n), 32), N'task.created', n + 1, n + 1,"
    f" CASE WHEN n % 10 = 0 THEN N'pending' ELSE N'delivered' END, {NOW}, 1, {NOW}, 204, 5, N'', N'',"
    f" DATEADD(second, n, {NOW}), n % 1000 + 1"
)

# SQL Server merges a change of one row with its seek: only then does the change have a WHERE, on the primary key.
SEEK = re.compile(r"Index Seek\(|Clustered Index (?:Update|Delete)\(OBJECT:.* WHERE:\(.*\.\[id\] ?= ?|Index Cond:")
SCAN = re.compile(r"Table Scan|Index Scan\(|Seq Scan")


@pytest.fixture(scope="module")
def database(server: Server) -> str:
    url = server.create(migrate=SERVICES)
    statements = json.dumps([TASKS, USERS, SESSIONS, ENDED_SESSIONS, ENDPOINTS, DELIVERIES])
    filled = manage(*program("any/execute"), statements, DATABASE_URL=f"{url}&query_timeout=110")
    assert json.loads(output_of(filled)) == [["done", ""]] * 6
    return url


@pytest.mark.parametrize("python_driver", DRIVERS)
@pytest.mark.parametrize("service", SERVICES)
def test_every_statement_seeks(database: str, service: str, python_driver: str) -> None:
    url = f"{database}&python_driver={python_driver}"
    queries = PROGRAMS / service / "plan_operations.py"
    result = manage(*program("any/statement_plans"), str(queries), service=service, DATABASE_URL=url)

    operations: dict[str, list[tuple[str, list[str]]]] = json.loads(output_of(result).splitlines()[-1])

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
    """The plans are from Microsoft's documentation and public examples, not from an actual SQL Server."""
    assert bool(SEEK.search(line) and not SCAN.search(line)) == bool(seeks)


@pytest.mark.parametrize("python_driver", DRIVERS)
def test_no_value_makes_the_server_convert_a_column(server: Server, python_driver: str) -> None:
    result = manage(*program("any/bound_types"), DATABASE_URL=server.create(python_driver=python_driver))
    types = json.loads(output_of(result).splitlines()[-1])

    # Where the types differ, the server converts the side with the lower precedence, which must be the value. The
    # compatible server reports varchar for every text; test_tables.py checks that no column is a varchar.
    # https://learn.microsoft.com/en-us/sql/t-sql/data-types/data-type-precedence-transact-sql
    assert types["small"] in ("tinyint", "smallint", "int", "bigint")
    assert types["large"] == "bigint"
    assert types["text"] in ("nvarchar", "varchar")
    assert types["time"] in ("nvarchar", "datetime2", "datetimeoffset")
