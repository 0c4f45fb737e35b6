"""manage.py database_login: a login of the service's own, with rights on its own tables only."""

import sys
from contextlib import closing
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseLayerError
from django.db import connection, router, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model

from servicekit.database import database_from_url, quoted_name
from servicekit.diagnosis import explain
from servicekit.env import ConfigurationError
from servicekit.locks import LockTimeout, one_at_a_time

# Whether the user of this name belongs to the login of this name; no row where there is no such user.
_USER = "SELECT CASE WHEN sid = SUSER_SID(%s) THEN 1 ELSE 0 END FROM sys.database_principals WHERE name = %s"
_COLUMNS = """
SELECT SCHEMA_NAME(t.schema_id), t.name, c.name FROM sys.tables t JOIN sys.columns c ON c.object_id = t.object_id
WHERE t.is_ms_shipped = 0 ORDER BY t.object_id, c.column_id
"""


class Command(BaseCommand):
    """The tables have to be there: a right is on a table, and the next migration's table needs this command again."""

    help = (
        "Makes the login of the mssql:// URL on standard input, where there is none, and gives it what this service "
        "needs: to read and write the tables that it owns, and to read the columns that it borrows. DATABASE_URL names "
        "somebody who may do that."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.vendor != "microsoft":
            raise CommandError("DATABASE_URL names no SQL Server, and nothing else has logins")
        login, password = self._login(sys.stdin.read().strip())
        user, literal = quoted_name(login), password.replace("'", "''")
        grants = _grants(user)
        try:
            with one_at_a_time(connection), connection.cursor() as cursor:
                cursor.execute("SELECT SUSER_ID(%s)", [login])
                if cursor.fetchone() == (None,):
                    cursor.execute(f"CREATE LOGIN {user} WITH PASSWORD = N'{literal}'")
                cursor.execute(_USER, [login, login])
                found = cursor.fetchone()
                if found is None:
                    cursor.execute(f"CREATE USER {user} FOR LOGIN {user}")
                elif not found[0]:
                    # The user of a database that was restored belongs to the login of the server that it was saved on.
                    cursor.execute(f"ALTER USER {user} WITH LOGIN = {user}")
                # All at once, so that a service that runs misses nothing.
                with transaction.atomic():
                    for statement in _revokes(cursor, user) + grants:
                        cursor.execute(statement)
            self._try(login, password)
        except LockTimeout:
            raise CommandError("another process has been at work on this database's logins or tables") from None
        except DatabaseLayerError as error:
            raise CommandError(explain(error)) from None
        self.stdout.write(f"ok       login      {login}: {len(grants)} rights")

    def _login(self, url: str) -> tuple[str, str]:
        try:
            entry = database_from_url(url)
        except ConfigurationError as error:
            raise CommandError(str(error).replace("DATABASE_URL", "the login's URL", 1)) from None
        settings = connection.settings_dict
        if [entry.get(part) for part in ("ENGINE", "HOST", "PORT", "NAME")] != [
            settings[part] for part in ("ENGINE", "HOST", "PORT", "NAME")
        ]:
            raise CommandError("the login's URL names another database than DATABASE_URL")
        if entry["USER"].lower() == settings["USER"].lower():
            raise CommandError("the login's URL names DATABASE_URL's own user, which may do everything")
        return entry["USER"], entry["PASSWORD"]

    def _try(self, login: str, password: str) -> None:
        """A login that was there before keeps its password: it may be somebody else's."""
        own = connection.copy()
        own.settings_dict.update(USER=login, PASSWORD=password)
        try:
            with closing(own):
                own.ensure_connection()
        except DatabaseLayerError as error:
            raise CommandError(f"{login}: {explain(error)}") from None


def _revokes(cursor: Any, user: str) -> list[str]:
    """Takes whatever an earlier version had the user given: a right on a column does not end with its table's."""
    cursor.execute(_COLUMNS)
    columns: dict[str, list[str]] = {}
    for schema, table, column in cursor.fetchall():
        columns.setdefault(f"{quoted_name(schema)}.{quoted_name(table)}", []).append(quoted_name(column))
    statements = []
    for table, names in columns.items():
        # One right at a time: of several a compatible server fails where the user has only some.
        rights = [f"{right} ON {table}" for right in ("SELECT", "INSERT", "UPDATE", "DELETE")]
        rights.append(f"SELECT ON {table} ({', '.join(names)})")
        statements += [f"REVOKE {right} FROM {user}" for right in rights]
    return statements


def _grants(user: str) -> list[str]:
    """By the service's models: those that it migrates are its own, and of the others it knows only what it reads."""
    statements = []
    models: list[type[Model]] = [MigrationRecorder.Migration]
    for app in apps.get_app_configs():
        models += router.get_migratable_models(app, connection.alias, include_auto_created=True)
    for model in models:
        options = model._meta
        table = quoted_name(options.db_table)
        if model is MigrationRecorder.Migration:
            # Django's commands look at it before they start.
            rights = "SELECT"
        elif options.managed:
            rights = "SELECT, INSERT, UPDATE, DELETE"
        else:
            columns = ", ".join(quoted_name(str(field.column)) for field in options.local_concrete_fields)
            rights, table = "SELECT", f"{table} ({columns})"
        statements.append(f"GRANT {rights} ON {table} TO {user}")
    return statements
