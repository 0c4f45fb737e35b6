import copy
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, ProgrammingError

from servicekit.management.commands import database


def test_sqlite_needs_nothing(capsys):
    call_command("database")
    call_command("database", "--check")
    assert [line.split("SQLite")[0] for line in capsys.readouterr().out.splitlines()] == ["ok       database   "] * 2


class Server:
    """A fake SQL Server for the command: it has databases, each with snapshots on or off."""

    vendor = "microsoft"

    def __init__(self, **snapshots: bool) -> None:
        self.snapshots = snapshots
        self.refuses = ""
        self.statements: list[str] = []
        self.settings_dict: dict[str, Any] = {"NAME": "tasks", "USER": "app]", "OPTIONS": {}}
        self.sessions: set[str] = set()
        self.opened: list[str] = []
        # A login that is restricted to its own database cannot see or create others.
        self.hides = False
        self.has_user = True

    def copy(self) -> "Server":
        other = copy.copy(self)
        other.settings_dict = {**self.settings_dict, "OPTIONS": {}}
        return other

    def close(self) -> None:
        self.sessions.discard(self.settings_dict["NAME"])

    @contextmanager
    def cursor(self):
        if self.settings_dict["NAME"] not in {"master", *self.snapshots}:
            raise OperationalError("Cannot open database (4060)")
        self.sessions.add(self.settings_dict["NAME"])
        self.opened.append(self.settings_dict["NAME"])
        yield self

    def execute(self, sql: str, parameters: object = ()) -> None:
        seen = "tasks" in self.snapshots and not (self.hides and self.settings_dict["NAME"] == "master")
        if sql.startswith("SELECT DB_ID"):
            self._row = (5 if seen else None,)
        elif sql.startswith("SELECT HAS_DBACCESS"):
            self._row = (int(self.has_user) if seen else None,)
        elif sql.startswith("SELECT"):
            self._row = (self.snapshots["tasks"],) if seen else None
        elif self.hides:
            raise ProgrammingError("CREATE DATABASE permission denied in database 'master'. (262)")
        else:
            if "SNAPSHOT" in sql and "tasks" in self.sessions:
                raise OperationalError("others are there (5070)")
            if self.refuses and self.refuses in sql:
                raise OperationalError("others are there (5070)")
            self.statements.append(sql)
            self.snapshots["tasks"] = "SNAPSHOT ON" in sql

    def fetchone(self) -> Any:
        return self._row


@pytest.fixture
def run(monkeypatch):
    @contextmanager
    def lock(_: object):
        yield

    def run(server: Server) -> list[str]:
        monkeypatch.setattr(database, "connection", server)
        monkeypatch.setattr(database, "one_at_a_time", lock)
        call_command("database")
        return server.statements

    return run


CREATE = "CREATE DATABASE [tasks]"
ALTER = "ALTER DATABASE [tasks] SET READ_COMMITTED_SNAPSHOT ON WITH NO_WAIT"


@pytest.mark.parametrize(
    ("server", "statements"),
    [
        pytest.param(Server(), [CREATE, ALTER], id="nothing there"),
        pytest.param(Server(tasks=False), [ALTER], id="snapshots off"),
        pytest.param(Server(tasks=True), [], id="all there"),
    ],
)
def test_makes_what_is_missing_and_no_more(run, server, statements):
    assert run(server) == statements
    # A connection to the database itself would block another process that turns snapshots on there.
    assert set(server.opened) == {"master"}


def test_login_that_is_kept_to_its_database_is_content_with_one_that_has_all(run):
    server = Server(tasks=True)
    server.hides = True
    assert run(server) == []


@pytest.mark.parametrize("server", [Server(), Server(tasks=False)], ids=["nothing there", "snapshots off"])
def test_login_that_is_kept_to_its_database_cannot_make_what_is_missing(run, server):
    server.hides = True
    with pytest.raises(CommandError, match=r"^the login may not do this: "):
        run(server)


def test_login_without_a_user_in_the_database_is_told_the_statement_that_adds_one(run):
    server = Server(tasks=True)
    server.has_user = False
    statement = r"CREATE USER \[app\]\]\] FOR LOGIN \[app\]\]\]; ALTER ROLE db_owner ADD MEMBER \[app\]\]\]$"
    with pytest.raises(CommandError, match=rf"^the database tasks exists, but the login has no user .*{statement}"):
        run(server)


def test_server_that_refuses_snapshots_is_a_failure_in_one_line(run):
    server = Server(tasks=False)
    server.refuses = "ALTER"
    with pytest.raises(CommandError, match=r"^other connections to the database are open: "):
        run(server)


def test_login_needs_a_server_that_has_logins():
    with pytest.raises(CommandError, match="names no SQL Server"):
        call_command("database_login")
