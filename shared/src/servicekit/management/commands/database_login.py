"""manage.py database_login: create a login for the service, with permissions on only the tables that it needs."""

import sys
from contextlib import closing
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseLayerError
from django.db import connection, router, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model

from servicekit.database.diagnosis import explain
from servicekit.database.locks import WAIT_SECONDS, LockTimeout, one_at_a_time
from servicekit.database.tsql import quote_identifier
from servicekit.database.url import database_from_url
from servicekit.process.env import ConfigurationError

# As in `database`: waiting for a lock on these tables is normal for a while.
QUERY_TIMEOUT_SECONDS = 60

# Whether the user of this name belongs to the login; no row if there is no such user. An orphan belongs to a login that
# this server does not have; types 0 and 2 are users created without a login.
# https://learn.microsoft.com/en-us/sql/relational-databases/system-catalog-views/sys-database-principals-transact-sql
_USER = """
SELECT CASE
    WHEN sid = SUSER_SID(%s) THEN 'own'
    WHEN type = 'S' AND authentication_type NOT IN (0, 2) AND SUSER_SNAME(sid) IS NULL THEN 'orphan'
    ELSE 'other' END
FROM sys.database_principals WHERE name = %s
"""
_ROLES = """
SELECT r.name FROM sys.database_role_members m
JOIN sys.database_principals r ON r.principal_id = m.role_principal_id
JOIN sys.database_principals u ON u.principal_id = m.member_principal_id
WHERE u.name = %s
"""
# Without denials, which come from a DBA, not from an earlier version.
_GRANTED = """
SELECT t.name, c.name, p.permission_name FROM sys.database_permissions p
JOIN sys.database_principals u ON u.principal_id = p.grantee_principal_id
JOIN sys.tables t ON t.object_id = p.major_id
LEFT JOIN sys.columns c ON c.object_id = p.major_id AND c.column_id = p.minor_id
WHERE p.class = 1 AND p.state IN ('G', 'W') AND t.schema_id = SCHEMA_ID() AND u.name = %s
"""
_COLUMNS = """
SELECT t.name, c.name FROM sys.tables t JOIN sys.columns c ON c.object_id = t.object_id
WHERE t.is_ms_shipped = 0 AND t.schema_id = SCHEMA_ID() ORDER BY t.object_id, c.column_id
"""
_APPS = "SELECT DISTINCT app FROM django_migrations"

_ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")
# A permission on a table, or on one of its columns.
Right = tuple[str, str | None, str]


class Command(BaseCommand):
    """Grant permissions on the tables that exist. After a migration that adds a table, run this again."""

    help = (
        "Create the login of the mssql:// URL on standard input if it is missing, and grant it what this service "
        "needs: to read and write the tables that it owns, and to read the columns that it borrows. DATABASE_URL's "
        "user must have permission to do that."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.vendor != "microsoft":
            raise CommandError("DATABASE_URL names no SQL Server, and other databases have no logins")
        login, password = self._login(sys.stdin.read().strip())
        user, literal = quote_identifier(login), password.replace("'", "''")
        rights = _needed()
        grants = _statements("GRANT", rights, f"TO {user}")
        connection.close()
        connection.settings_dict["OPTIONS"]["query_timeout"] = QUERY_TIMEOUT_SECONDS
        try:
            with one_at_a_time(connection), connection.cursor() as cursor:
                cursor.execute("SELECT SUSER_ID(%s)", [login])
                if cursor.fetchone() == (None,):
                    cursor.execute(f"CREATE LOGIN {user} WITH PASSWORD = N'{literal}'")
                else:
                    # The login may belong to someone else. An orphaned user could not open the database itself.
                    self._try(login, password, NAME="master")
                cursor.execute(_USER, [login, login])
                found = cursor.fetchone()
                if found is None:
                    cursor.execute(f"CREATE USER {user} FOR LOGIN {user}")
                elif found[0] == "orphan":
                    # In a restored database, the user belongs to the login of the server where it was backed up.
                    cursor.execute(f"ALTER USER {user} WITH LOGIN = {user}")
                elif found[0] != "own":
                    raise CommandError(f"{login}: the database has a user or role of this name, not this login's")
                cursor.execute(_ROLES, [login])
                if roles := ", ".join(sorted(role for (role,) in cursor.fetchall())):
                    raise CommandError(f"{login}: is a member of {roles}, and may do more than a service's login may")
                # Grant before revoking, so that a running service never lacks a permission; and grant again, since a
                # REVOKE on a table also revokes permissions on its columns.
                with transaction.atomic():
                    for statement in grants:
                        cursor.execute(statement)
                    revokes = _statements("REVOKE", _not_needed(cursor, login, rights), f"FROM {user} CASCADE")
                    for statement in revokes + grants if revokes else []:
                        cursor.execute(statement)
            self._try(login, password)
        except LockTimeout:
            raise CommandError(
                f"another process has been changing this database's logins or tables for {WAIT_SECONDS} s"
            ) from None
        except DatabaseLayerError as error:
            raise CommandError(explain(error)) from None
        self.stdout.write(f"ok       login      {login}: {len(grants)} permissions")

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

    def _try(self, login: str, password: str, **changes: str) -> None:
        """Check that the login can connect; the password of an existing one does not change."""
        own = connection.copy()
        own.settings_dict.update(USER=login, PASSWORD=password, **changes)
        try:
            with closing(own):
                own.ensure_connection()
        except DatabaseLayerError as error:
            raise CommandError(f"{login}: {explain(error)}") from None


def _needed() -> list[Right]:
    """Return the permissions that the service's models need: it owns what it migrates, and only reads the others."""
    rights: list[Right] = []
    models: list[type[Model]] = [MigrationRecorder.Migration]
    for app in apps.get_app_configs():
        models += router.get_migratable_models(app, connection.alias, include_auto_created=True)
    for model in models:
        options = model._meta
        if model is MigrationRecorder.Migration:
            # Django's commands read it before they start.
            rights.append((options.db_table, None, "SELECT"))
        elif options.managed:
            rights += [(options.db_table, None, right) for right in _ALL]
        else:
            rights += [(options.db_table, str(field.column), "SELECT") for field in options.local_concrete_fields]
    return rights


def _not_needed(cursor: Any, login: str, needed: list[Right]) -> list[Right]:
    """Return the user's permissions on this project's tables, Django's included, that it does not need."""
    cursor.execute(_GRANTED, [login])
    rights: list[Right] = [(table, column, right) for table, column, right in cursor.fetchall()]
    if not rights:
        # A compatible server does not list the permissions just granted, so revoke all that may have been.
        cursor.execute(_COLUMNS)
        columns: list[tuple[str, str]] = cursor.fetchall()
        rights = [(table, None, right) for table in dict.fromkeys(table for table, _ in columns) for right in _ALL]
        rights += [(table, column, "SELECT") for table, column in columns if (table, None, "SELECT") not in needed]
    cursor.execute(_APPS)
    ours = ("django_", *(f"{app}_" for (app,) in cursor.fetchall()))
    return [right for right in rights if right not in needed and right[0].startswith(ours)]


def _statements(verb: str, rights: list[Right], end: str) -> list[str]:
    """Return a statement for each permission: a compatible server cannot revoke several if the user has only some."""
    statements = [
        f"{verb} {right} ON {quote_identifier(table)} {end}" for table, column, right in rights if column is None
    ]
    columns: dict[tuple[str, str], list[str]] = {}
    for table, column, right in rights:
        if column is not None:
            columns.setdefault((table, right), []).append(quote_identifier(column))
    for (table, right), names in columns.items():
        statements.append(f"{verb} {right} ON {quote_identifier(table)} ({', '.join(names)}) {end}")
    return statements
