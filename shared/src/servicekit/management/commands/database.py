"""manage.py database: create the database if it is missing, or report what prevents the services from using it."""

import socket
from argparse import ArgumentParser
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseLayerError
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from servicekit.database.diagnosis import UNUSABLE, explain
from servicekit.database.locks import WAIT_SECONDS, LockTimeout, one_at_a_time
from servicekit.database.tsql import quote_identifier

# Creating a database copies files, which on a small machine takes longer than the query timeout of requests.
CREATE_TIMEOUT_SECONDS = 60

_READS_SNAPSHOTS = "SELECT is_read_committed_snapshot_on FROM sys.databases WHERE name = %s"
# 1: this login may use the database; 0: it may not, or the database is offline; NULL: there is no such database.
# https://learn.microsoft.com/en-us/sql/t-sql/functions/has-dbaccess-transact-sql
_HAS_ACCESS = "SELECT HAS_DBACCESS(%s)"


class Command(BaseCommand):
    """Works in a container too: it needs only the service's own environment."""

    help = (
        "Create the database that DATABASE_URL names if it is missing, and turn READ_COMMITTED_SNAPSHOT on. "
        "With --check, change nothing and report what is there and what is missing."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if something is missing")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        if connection.vendor == "sqlite":
            self._sqlite(Path(connection.settings_dict["NAME"]))
        elif check:
            self._check()
        else:
            self._create()

    def _sqlite(self, path: Path) -> None:
        state = "" if path.exists() else "; make migrate or make up creates it"
        self._ok("database", f"SQLite, {path}{state}")

    def _create(self) -> None:
        """Create the database; several processes may do so at once.

        If it exists, no permission to create it is needed.
        """
        name = str(connection.settings_dict["NAME"])
        # One open connection to the database blocks the ALTER below, whether this process or a concurrent one holds it,
        # so everything is read from master.
        connection.close()
        master = _master(query_timeout=CREATE_TIMEOUT_SECONDS)
        quoted = quote_identifier(name)
        try:
            with one_at_a_time(master), closing(master), master.cursor() as cursor:
                cursor.execute("SELECT DB_ID(%s)", [name])
                if cursor.fetchone() == (None,):
                    cursor.execute(f"CREATE DATABASE {quoted}")
                    self._ok("database", f"{name} created")
                if not _reads_snapshots(master, name):
                    # Without it a list waits for writers, and the two can deadlock. The change needs exclusive access:
                    # NO_WAIT fails immediately if others use the database, and interrupts none of them.
                    cursor.execute(f"ALTER DATABASE {quoted} SET READ_COMMITTED_SNAPSHOT ON WITH NO_WAIT")
                if _lacks_access(master, name):
                    raise CommandError(_no_user(name))
                self._ok("database", f"READ_COMMITTED_SNAPSHOT of {name} is on")
        except LockTimeout:
            raise CommandError(
                f"another process has been creating databases on this server for {WAIT_SECONDS} s"
            ) from None
        except DatabaseLayerError as error:
            # A login that is restricted to this database cannot see it from master.
            if not self._is_ready(name):
                raise CommandError(explain(error)) from None
            self._ok("database", f"{name} exists, and READ_COMMITTED_SNAPSHOT is on")

    def _is_ready(self, name: str) -> bool:
        try:
            with closing(connection):
                return _reads_snapshots(connection, name)
        except DatabaseLayerError:
            return False

    def _check(self) -> None:
        """Check the server first, then the login and the database; stop at the first thing that is missing."""
        settings = connection.settings_dict
        host, port, name = settings["HOST"], settings["PORT"], settings["NAME"]
        if port:
            try:
                socket.create_connection((host, int(port)), settings["OPTIONS"]["connection_timeout"]).close()
            except OSError as error:
                self._missing(
                    "server",
                    f"{host} does not respond on port {port} ({error.strerror or error}): check the host and port in"
                    " DATABASE_URL, that the server runs, that TCP is enabled, and the firewall",
                )
            self._ok("server", f"{host} responds on port {port}")
        try:
            on = _reads_snapshots(connection, name)
            with connection.cursor() as cursor:
                cursor.execute("SELECT @@VERSION")
                server = cursor.fetchone()[0].splitlines()[0].strip()
        except DatabaseLayerError as error:
            self._missing("database", _explain(error))
        self._ok("login", settings["USER"])
        self._ok("database", name)
        python_driver = settings["OPTIONS"].get("python_driver", "pyodbc").replace("_", "-")
        backend: Any = connection
        driver = backend.connection.getinfo(backend.Database.SQL_DRIVER_VER)
        self._ok("versions", f"{server}; ODBC driver {driver}; {python_driver} {version(python_driver)}")
        if not on:
            self._missing(
                "snapshots",
                "READ_COMMITTED_SNAPSHOT is off, so reads wait for writes: make database turns it on",
            )
        self._ok("snapshots", "READ_COMMITTED_SNAPSHOT is on")

    def _ok(self, what: str, words: str) -> None:
        self.stdout.write(f"ok       {what:<10} {words}")

    def _missing(self, what: str, words: str) -> None:
        self.stdout.write(f"missing  {what:<10} {words}")
        raise SystemExit(1)


def _master(*, query_timeout: int) -> BaseDatabaseWrapper:
    """Return a connection, not open yet, to the database master of the same server."""
    master = connection.copy()
    master.settings_dict["NAME"] = "master"
    master.settings_dict["OPTIONS"]["query_timeout"] = query_timeout
    return master


def _explain(error: DatabaseLayerError) -> str:
    """Explain the error; if the database exists and only lacks a user for the login, explain how to add one.

    The server's own error (4060) is the same for a database that does not exist.
    """
    text = explain(error)
    if text != UNUSABLE:
        return text
    name = connection.settings_dict["NAME"]
    try:
        with closing(_master(query_timeout=CREATE_TIMEOUT_SECONDS)) as master:
            return _no_user(name) if _lacks_access(master, name) else text
    except DatabaseLayerError:
        return text


def _lacks_access(master: BaseDatabaseWrapper, name: str) -> bool:
    with master.cursor() as cursor:
        cursor.execute(_HAS_ACCESS, [name])
        return bool(cursor.fetchone() == (0,))


def _no_user(name: str) -> str:
    login = quote_identifier(connection.settings_dict["USER"])
    return (
        f"the database {name} exists, but the login has no user in it (or it is offline): an administrator runs in it:"
        f" CREATE USER {login} FOR LOGIN {login}; ALTER ROLE db_owner ADD MEMBER {login}"
    )


def _reads_snapshots(database: BaseDatabaseWrapper, name: str) -> bool:
    """Return whether the database reads under READ_COMMITTED_SNAPSHOT; False if it does not exist."""
    with database.cursor() as cursor:
        cursor.execute(_READS_SNAPSHOTS, [name])
        return cursor.fetchone() in ((True,), (1,))
