"""manage.py database_login: a login of the service's own, with rights on its own tables only."""

import sys
from contextlib import closing
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseLayerError
from django.db import connection, router
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model

from servicekit.database import database_from_url
from servicekit.diagnosis import explain
from servicekit.env import ConfigurationError
from servicekit.locks import LockTimeout, one_at_a_time


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
        user, literal = connection.ops.quote_name(login), password.replace("'", "''")
        statements = _grants(user)
        try:
            with one_at_a_time(connection), connection.cursor() as cursor:
                cursor.execute("SELECT SUSER_ID(%s)", [login])
                if cursor.fetchone() == (None,):
                    cursor.execute(f"CREATE LOGIN {user} WITH PASSWORD = N'{literal}'")
                cursor.execute("SELECT USER_ID(%s)", [login])
                if cursor.fetchone() == (None,):
                    cursor.execute(f"CREATE USER {user} FOR LOGIN {user}")
                for statement in statements:
                    cursor.execute(statement)
            self._try(login, password)
        except LockTimeout:
            raise CommandError("another process has been at work on this database's logins or tables") from None
        except DatabaseLayerError as error:
            raise CommandError(explain(error)) from None
        self.stdout.write(f"ok       login      {login}: {len(statements)} rights")

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


def _grants(user: str) -> list[str]:
    """By the service's models: those that it migrates are its own, and of the others it knows only what it reads."""
    statements = []
    models: list[type[Model]] = [MigrationRecorder.Migration]
    for app in apps.get_app_configs():
        models += router.get_migratable_models(app, connection.alias, include_auto_created=True)
    for model in models:
        options = model._meta
        table = connection.ops.quote_name(options.db_table)
        if model is MigrationRecorder.Migration:
            # Django's commands look at it before they start.
            rights = "SELECT"
        elif options.managed:
            rights = "SELECT, INSERT, UPDATE, DELETE"
        else:
            columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in options.local_concrete_fields)
            rights, table = "SELECT", f"{table} ({columns})"
        statements.append(f"GRANT {rights} ON {table} TO {user}")
    return statements
