import datetime
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, ProgrammingError
from prometheus_client import REGISTRY

from servicekit.database.sqlite.base import PAUSES_SECONDS, SHORT_WAIT_SECONDS, Batch, DatabaseWrapper, _Queue
from servicekit.database.url import database_from_url

pytestmark = pytest.mark.django_db


def wrapper(path: Path) -> DatabaseWrapper:
    entry = database_from_url(f"sqlite:///{quote(str(path))}")
    defaults: dict[str, Any] = {"ATOMIC_REQUESTS": False, "AUTOCOMMIT": True, "CONN_HEALTH_CHECKS": False}
    entry["OPTIONS"]["timeout"] = 4
    return DatabaseWrapper({**defaults, "TIME_ZONE": None, **entry})


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DatabaseWrapper, "may_create", False)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A database whose write lock another process holds."""
    path = tmp_path / "a b%41?.sqlite3"
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("CREATE TABLE task (id)")
        other.execute("BEGIN IMMEDIATE")
        yield path
        other.execute("ROLLBACK")
    other.close()


def write(path: Path) -> float:
    """Try to begin a write transaction; return how many seconds it waited before it was refused."""
    database, started = wrapper(path), time.monotonic()
    try:
        with pytest.raises(OperationalError, match="locked"):
            database.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    finally:
        database.close()
    return time.monotonic() - started


@pytest.mark.usefixtures("serving")
def test_a_file_that_is_gone_is_not_created_by_a_process_that_serves(tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite3"
    with pytest.raises(OperationalError, match="unable to open database file"):
        wrapper(path).ensure_connection()
    assert not path.exists()


def test_a_command_creates_the_file(tmp_path: Path) -> None:
    database = wrapper(tmp_path / "db.sqlite3")
    database.ensure_connection()
    database.close()
    assert (tmp_path / "db.sqlite3").exists()


@pytest.mark.usefixtures("serving")
def test_one_writer_waits_and_the_others_do_not(locked: Path) -> None:
    waits: dict[str, float] = {}
    first = threading.Thread(target=lambda: waits.update(first=write(locked)))
    first.start()
    time.sleep(0.1)
    waits["second"] = write(locked)
    waits["third"] = write(locked)
    reader = wrapper(locked)
    with reader.cursor() as cursor:
        assert cursor.execute("SELECT * FROM task").fetchall() == []
    reader.close()
    first.join()
    assert waits["third"] < waits["second"] < waits["first"]
    assert waits["second"] < SHORT_WAIT_SECONDS + 1
    assert waits["first"] >= 4


@pytest.mark.usefixtures("serving")
def test_a_writer_that_was_refused_waits_as_long_as_any_the_next_time(locked: Path) -> None:
    write(locked)
    assert write(locked) >= 4


@pytest.mark.parametrize("used", [False, True], ids=["the first ever", "after another one, long ago"])
def test_writer_beside_a_first_one_that_has_just_come_waits_as_well(
    monkeypatch: pytest.MonkeyPatch, used: bool
) -> None:
    queue, now = _Queue(), 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    if used:
        with queue.place(10) as first, queue.place(10) as second:
            assert (first, second) == (1010, 1000 + SHORT_WAIT_SECONDS)
    now = 2000.0
    # The first one holds the lock, but has not yet recorded its start.
    with queue._first, queue.place(10) as until:
        assert until == 2000 + SHORT_WAIT_SECONDS


def test_file_system_without_a_write_ahead_log_is_refused(tmp_path: Path) -> None:
    connection = wrapper(tmp_path / "db.sqlite3")
    connection.settings_dict["OPTIONS"]["init_command"] = "PRAGMA journal_mode=DELETE"
    with pytest.raises(OperationalError, match="WAL"):
        connection.ensure_connection()


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "INSERT INTO task VALUES (1)"])
def test_writer_tries_again_after_pauses_that_begin_short(
    opened: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    other = sqlite3.connect(opened.settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 9:
            other.close()

    monkeypatch.setattr(time, "sleep", pause)
    with opened.cursor() as cursor:
        cursor.execute(statement)
    first, longest = PAUSES_SECONDS
    assert pauses == [min(first * 2**number, longest) for number in range(9)]


def test_transaction_that_has_read_what_another_has_changed_is_refused_at_once(
    opened: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waits although that cannot help"))
    with opened.cursor() as cursor, closing(sqlite3.connect(opened.settings_dict["NAME"])) as other:
        cursor.execute("BEGIN DEFERRED")
        cursor.execute("SELECT * FROM task")
        with other:
            other.execute("INSERT INTO task VALUES (1)")
        with pytest.raises(OperationalError, match="locked"):
            cursor.execute("INSERT INTO task VALUES (2)")


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("SELECT %s, '%%s'", [1]),
        ("SELECT %(a)s, '%%s'", {"a": 1}),
    ],
    ids=["by position", "by name"],
)
def test_placeholders_are_djangos(opened: DatabaseWrapper, sql: str, parameters: Any) -> None:
    with opened.cursor() as cursor:
        assert [cursor.execute(sql, parameters).fetchall() for _ in range(2)] == [[(1, "%s")]] * 2


@pytest.mark.parametrize("stored", ["2026-01-31 09:30:00.123456", "2026-01-31T10:30:00.123456+01:00"])
def test_time_is_read_in_utc(opened: DatabaseWrapper, stored: str) -> None:
    with opened.cursor() as cursor:
        cursor.execute("CREATE TABLE moment (at datetime)")
        cursor.execute("INSERT INTO moment VALUES (%s)", [stored])
        [(at,)] = cursor.execute("SELECT at FROM moment").fetchall()
    assert (at, at.tzinfo) == (datetime.datetime(2026, 1, 31, 9, 30, 0, 123456, tzinfo=datetime.UTC), datetime.UTC)


class TestBatch:
    """Several statements that a cursor executes in one transaction."""

    SWAP = Batch("INSERT INTO task VALUES (%s) RETURNING id; DELETE FROM task WHERE id = %s;")

    @staticmethod
    def stored(database: DatabaseWrapper) -> list[int]:
        """Return what another connection sees."""
        with closing(sqlite3.connect(database.settings_dict["NAME"])) as other:
            return [number for (number,) in other.execute("SELECT id FROM task ORDER BY id")]

    def test_executes_each_with_its_parameters_and_commits(self, opened: DatabaseWrapper) -> None:
        with opened.cursor() as cursor:
            cursor.execute("INSERT INTO task VALUES (1), (2)")
            cursor.execute(self.SWAP, [3, 1])
            assert cursor.fetchall() == [(3,)]
        assert self.stored(opened) == [2, 3]

    @pytest.mark.parametrize(
        ("text", "parameters", "error"),
        [
            ("INSERT INTO task VALUES (1); INSERT INTO task VALUES (%s);", [None], IntegrityError),
            ("INSERT INTO task VALUES (%s); INSERT INTO other VALUES (1);", [1], OperationalError),
            ("INSERT INTO task VALUES (%s); INSERT INTO task VALUES (%s);", [1], ProgrammingError),
            ("INSERT INTO task VALUES (%s); INSERT INTO task VALUES (%s);", [1, 2, 3], ProgrammingError),
            ("INSERT INTO task VALUES (1);", [1], ProgrammingError),
        ],
        ids=["constraint", "no such table", "too few parameters", "too many parameters", "no parameters"],
    )
    def test_rolls_back_on_any_error(
        self, opened: DatabaseWrapper, text: str, parameters: list[Any], error: type[DatabaseError]
    ) -> None:
        with opened.cursor() as cursor:
            with pytest.raises(error):
                cursor.execute(Batch(text), parameters)
            assert not opened.connection.in_transaction
            cursor.execute("INSERT INTO task VALUES (7)")
        assert self.stored(opened) == [7]

    @pytest.mark.parametrize(
        ("raised", "expected"),
        [(sqlite3.OperationalError("disk I/O error"), OperationalError), (KeyboardInterrupt(), KeyboardInterrupt)],
        ids=["error", "interrupt"],
    )
    def test_rolls_back_if_the_commit_fails(
        self, opened: DatabaseWrapper, raised: BaseException, expected: type[BaseException]
    ) -> None:
        class FailingCommit(sqlite3.Connection):
            def commit(self) -> None:
                raise raised

        opened.connection = sqlite3.connect(opened.settings_dict["NAME"], isolation_level=None, factory=FailingCommit)
        with opened.cursor() as cursor, pytest.raises(expected):
            cursor.execute(self.SWAP, [3, 1])
        assert not opened.connection.in_transaction
        assert self.stored(opened) == []

    def test_leaves_the_commit_to_an_outer_transaction(self, opened: DatabaseWrapper) -> None:
        opened.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        opened.in_atomic_block = True
        with opened.cursor() as cursor:
            cursor.execute(self.SWAP, [3, 1])
            assert self.stored(opened) == []
            with pytest.raises(IntegrityError):
                cursor.execute(Batch("INSERT INTO task VALUES (%s);"), [None])
            opened.connection.commit()
        assert self.stored(opened) == [3]

    def test_does_not_join_a_transaction_that_was_left_open(self, opened: DatabaseWrapper) -> None:
        with opened.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            with pytest.raises(OperationalError, match="within a transaction"):
                cursor.execute(self.SWAP, [3, 1])
            cursor.execute(self.SWAP, [4, 1])
        assert self.stored(opened) == [4]

    def test_leaves_no_rows_to_the_next_statement(self, opened: DatabaseWrapper) -> None:
        with opened.cursor() as cursor:
            cursor.execute(self.SWAP, [3, 1])
            assert cursor.execute("SELECT count(*) FROM task").fetchall() == [(1,)]
            assert cursor.execute(self.SWAP, [4, 1]).fetchall() == [(4,)]
            assert cursor.fetchall() == []
            assert cursor.execute(Batch("DELETE FROM task;")).fetchall() == []

    def test_counts_as_one_statement(self, opened: DatabaseWrapper) -> None:
        count = "db_client_operation_duration_seconds_count"
        before = REGISTRY.get_sample_value(count) or 0
        with opened.cursor() as cursor:
            cursor.execute(self.SWAP, [3, 1])
        assert REGISTRY.get_sample_value(count) == before + 1

    def test_waits_for_the_write_lock(self, opened: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
        other = sqlite3.connect(opened.settings_dict["NAME"], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(time, "sleep", lambda _: other.close())
        with opened.cursor() as cursor:
            cursor.execute(self.SWAP, [3, 1])
        assert self.stored(opened) == [3]

    def test_closes_a_connection_that_cannot_roll_back(self, opened: DatabaseWrapper) -> None:
        """An open transaction would keep the write lock."""

        class FailingRollback(sqlite3.Connection):
            def rollback(self) -> None:
                raise sqlite3.OperationalError("disk I/O error")

        opened.connection = sqlite3.connect(opened.settings_dict["NAME"], isolation_level=None, factory=FailingRollback)
        with opened.cursor() as cursor, pytest.raises(IntegrityError):
            cursor.execute(Batch("INSERT INTO task VALUES (1); INSERT INTO task VALUES (%s);"), [None])
        assert opened.connection is None
        with opened.cursor() as cursor:
            cursor.execute(self.SWAP, [3, 1])
        assert self.stored(opened) == [3]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseWrapper]:
    """A connection of a serving process to a database with a table."""
    path = tmp_path / "db.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE task (id NOT NULL)")
    database.close()
    monkeypatch.setattr(DatabaseWrapper, "may_create", False)
    connection = wrapper(path)
    connection.ensure_connection()
    yield connection
    connection.close()


def test_a_connection_is_kept_between_requests(opened: DatabaseWrapper) -> None:
    before = opened.connection
    opened.close_if_unusable_or_obsolete()
    assert opened.connection is before


@pytest.mark.parametrize("replaced", [False, True])
def test_a_connection_to_a_file_that_was_moved_away_is_not_kept(opened: DatabaseWrapper, replaced: bool) -> None:
    path = Path(opened.settings_dict["NAME"])
    path.rename(path.with_suffix(".moved"))
    if replaced:
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE other (id)")
        database.close()
    opened.close_if_unusable_or_obsolete()
    if not replaced:
        with pytest.raises(OperationalError, match="unable to open database file"):
            opened.cursor()
        assert not path.exists()
        path.with_suffix(".moved").rename(path)
    with opened.cursor() as cursor:
        assert cursor.execute("SELECT name FROM sqlite_master").fetchall() == [("other" if replaced else "task",)]
