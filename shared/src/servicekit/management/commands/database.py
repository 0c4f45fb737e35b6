"""manage.py database: makes the database where there is none, or says what keeps the services from it."""

import socket
from argparse import ArgumentParser
from contextlib import closing
from importlib.metadata import version
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseLayerError
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from servicekit.database.diagnosis import explain
from servicekit.database.locks import LockTimeout, one_at_a_time
from servicekit.database.tsql import quote_identifier

# Making a database copies files: on a small machine that takes longer than a query of a request may.
CREATE_TIMEOUT_SECONDS = 60

_READS_SNAPSHOTS = "SELECT is_read_committed_snapshot_on FROM sys.databases WHERE name = %s"


class Command(BaseCommand):
    """Also for a container: it needs nothing but the service's own environment."""

    help = (
        "Creates the database that DATABASE_URL names where it is missing, and turns READ_COMMITTED_SNAPSHOT on. "
        "With --check it changes nothing, and says what there is and what is missing."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if something is missing")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        if connection.vendor == "sqlite":
            self._ok("database", f"SQLite, {connection.settings_dict['NAME']}; migrate makes it")
        elif check:
            self._check()
        else:
            self._create()

    def _create(self) -> None:
        """Safe when several do it at once, and needs no right to create where there is nothing to."""
        name = str(connection.settings_dict["NAME"])
        # One connection to the database is one too many for the change below: of this process, and of another that does
        # the same, so nobody looks into it from inside.
        connection.close()
        master = connection.copy()
        master.settings_dict["NAME"] = "master"
        master.settings_dict["OPTIONS"]["query_timeout"] = CREATE_TIMEOUT_SECONDS
        quoted = quote_identifier(name)
        try:
            with one_at_a_time(master), closing(master), master.cursor() as cursor:
                cursor.execute("SELECT DB_ID(%s)", [name])
                if cursor.fetchone() == (None,):
                    cursor.execute(f"CREATE DATABASE {quoted}")
                    self._ok("database", f"{name} created")
                if not _reads_snapshots(master, name):
                    # Without, a list waits for whoever writes, and the two can become a deadlock. The change needs the
                    # database for itself: NO_WAIT fails at once where others use it, and ends nobody's work.
                    cursor.execute(f"ALTER DATABASE {quoted} SET READ_COMMITTED_SNAPSHOT ON WITH NO_WAIT")
                self._ok("database", f"READ_COMMITTED_SNAPSHOT of {name} is on")
        except LockTimeout:
            raise CommandError("another process has been at work on this server's databases") from None
        except DatabaseLayerError as error:
            # Also by a login that is kept to this database, and so does not see it from master.
            if not self._is_ready(name):
                raise CommandError(explain(error)) from None
            self._ok("database", f"{name} is there, and READ_COMMITTED_SNAPSHOT on")

    def _is_ready(self, name: str) -> bool:
        try:
            with closing(connection):
                return _reads_snapshots(connection, name)
        except DatabaseLayerError:
            return False

    def _check(self) -> None:
        """From the outside to the inside, and no further than what is missing."""
        settings = connection.settings_dict
        host, port, name = settings["HOST"], settings["PORT"], settings["NAME"]
        if port:
            try:
                socket.create_connection((host, int(port)), settings["OPTIONS"]["connection_timeout"]).close()
            except OSError as error:
                self._missing(
                    "server",
                    f"{host} does not answer on port {port} ({error.strerror or error}): see the host and the port in"
                    " DATABASE_URL, that the server runs, that TCP is enabled, and the firewall",
                )
            self._ok("server", f"{host} answers on port {port}")
        try:
            on = _reads_snapshots(connection, name)
            with connection.cursor() as cursor:
                cursor.execute("SELECT @@VERSION")
                server = cursor.fetchone()[0].splitlines()[0].strip()
        except DatabaseLayerError as error:
            self._missing("database", explain(error))
        self._ok("login", settings["USER"])
        self._ok("database", name)
        python_driver = settings["OPTIONS"].get("python_driver", "pyodbc").replace("_", "-")
        backend: Any = connection
        driver = backend.connection.getinfo(backend.Database.SQL_DRIVER_VER)
        self._ok("versions", f"{server}; ODBC driver {driver}; {python_driver} {version(python_driver)}")
        if not on:
            self._missing(
                "snapshots",
                "READ_COMMITTED_SNAPSHOT is off, so that reads wait for writes: make database turns it on",
            )
        self._ok("snapshots", "READ_COMMITTED_SNAPSHOT is on")

    def _ok(self, what: str, words: str) -> None:
        self.stdout.write(f"ok       {what:<10} {words}")

    def _missing(self, what: str, words: str) -> None:
        self.stdout.write(f"missing  {what:<10} {words}")
        raise SystemExit(1)


def _reads_snapshots(database: BaseDatabaseWrapper, name: str) -> bool:
    """Whether the database of this name reads under READ_COMMITTED_SNAPSHOT; False where there is no such one."""
    with database.cursor() as cursor:
        cursor.execute(_READS_SNAPSHOTS, [name])
        return cursor.fetchone() in ((True,), (1,))
