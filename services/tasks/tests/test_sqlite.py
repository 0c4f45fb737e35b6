"""SQLite: index seeks, and writers that wait for each other."""

import contextlib
import sqlite3
import subprocess
import sys

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servicekit.http.pagination import Cursor, Page
from tasks import raw_sql
from tasks.selectors import list_tasks
from tests.conftest import AT, ROOT

pytestmark = pytest.mark.sqlite

WRITERS = 8
ROUNDS = 50

# Two writes per round: one by itself, and one after a read in the same transaction, for which SQLite does not wait
# unless the transaction acquired the write lock at its start.
WRITER = """
import sys, django
django.setup()
from django.db import transaction
from tasks.models import Task
from tasks.services import create_task, rename_task
owner_id, shared_id, rounds = map(int, sys.argv[1:])
print("ready", flush=True)
sys.stdin.readline()
for number in range(rounds):
    create_task(owner_id=owner_id, title=f"Task {number}", duration=5)
    with transaction.atomic():
        title = Task.objects.get(id=shared_id).title
        rename_task(task_id=shared_id, owner_id=1, title=str(int(title) + 1))
"""

# Refuses writes like a connection that was opened while the file was read-only. Prints the statuses that clients get.
READ_ONLY = """
import django
django.setup()
from django.db import connection
from tests.conftest import API
with connection.cursor() as cursor:
    cursor.execute("PRAGMA query_only = 1")
for title in ("during", "after"):
    print(API(1)("POST", "/api/tasks", {"title": title, "duration": 1}).status_code)
"""


def plan(sql: str, parameters: object) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
        return [row[3] for row in cursor.fetchall()]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("before", "seek"),
    [
        (None, "owner_id=?"),
        (Cursor(at=AT, id=5), "owner_id=? AND created_at<?"),
    ],
    ids=["first page", "after a cursor"],
)
def test_page_is_sought_in_the_index_and_needs_no_sorting(before, seek):
    with CaptureQueriesContext(connection) as queries:
        list_tasks(owner_id=1, page=Page(limit=4, before=before))
    sql = queries[0]["sql"]
    assert plan(sql, None) == [f"SEARCH tasks_task USING INDEX tasks_task_newest ({seek})"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(raw_sql.RETRIEVE, id="retrieve"),
        pytest.param(raw_sql.CREATE["sqlite"].statements[1], id="create: event"),
        pytest.param(raw_sql.RENAME["sqlite"].statements[0], id="rename"),
        pytest.param(raw_sql.RENAME["sqlite"].statements[1], id="rename: event"),
        pytest.param(raw_sql.DELETE["sqlite"].statements[0], id="delete: event"),
        pytest.param(raw_sql.DELETE["sqlite"].statements[1], id="delete"),
    ],
)
def test_one_task_is_sought_by_its_id(statement):
    parameters = [1] * statement.count("%s")
    assert plan(statement, parameters) == ["SEARCH tasks_task USING INTEGER PRIMARY KEY (rowid=?)"]


def test_eight_processes_write_at_once_and_nothing_is_lost(own_database, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite3")) as database, database:
        columns = "id, owner_id, title, duration, version, created_at, updated_at"
        database.execute(f"INSERT INTO tasks_task ({columns}) VALUES (1, 1, '0', 5, 1, '2026-01-31', '2026-01-31')")

    owners = range(10, 10 + WRITERS)
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WRITER, str(owner_id), "1", str(ROUNDS)],
                    cwd=ROOT,
                    env=own_database,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for owner_id in owners
        ]
        assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * WRITERS
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        errors = [writer.communicate(timeout=60)[1] for writer in writers]
    assert [(writer.returncode, error) for writer, error in zip(writers, errors, strict=True)] == [(0, "")] * WRITERS

    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite3")) as database:
        counts = dict(database.execute("SELECT owner_id, count(*) FROM tasks_task WHERE id > 1 GROUP BY owner_id"))
        shared = database.execute("SELECT title FROM tasks_task WHERE id = 1").fetchone()
        mode = database.execute("PRAGMA journal_mode").fetchone()
    assert counts == dict.fromkeys(owners, ROUNDS)
    assert shared == (str(WRITERS * ROUNDS),)
    assert mode == ("wal",)


def test_a_file_that_was_read_only_is_written_to_again_once_it_is_not(own_database, tmp_path):
    served = subprocess.run(
        [sys.executable, "-c", READ_ONLY], cwd=ROOT, env=own_database, capture_output=True, text=True, check=True
    )
    assert [line for line in served.stdout.splitlines() if line.isdecimal()] == ["503", "201"], served.stdout
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite3")) as database:
        assert database.execute("SELECT title FROM tasks_task").fetchall() == [("after",)]
