"""SQL Server's BACKUP and RESTORE, whose files are on the server's machine or at a URL."""

from contextlib import closing
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from servicekit.database.backups import BackupError
from servicekit.database.tsql import quote_identifier, quote_string

# Standard, Enterprise (with Developer) and Managed Instance compress; Express and Web do not.
# https://learn.microsoft.com/en-us/sql/t-sql/functions/serverproperty-transact-sql
COMPRESSING_EDITIONS = (2, 3, 8)

_EDITION = "SELECT CAST(SERVERPROPERTY('EngineEdition') AS int), CAST(SERVERPROPERTY('Edition') AS nvarchar(128))"
_DATABASE_ID = "SELECT DB_ID(%s)"


def back_up(connection: BaseDatabaseWrapper, target: str) -> str:
    """Have the server write a backup to a path on its machine or a URL; return the statement."""
    with closing(_without_query_timeout(connection)) as own:
        statement = backup_statement(
            name=str(own.settings_dict["NAME"]), target=target, compressed=compresses(*_row(own, _EDITION))
        )
        run_to_end(own, statement)
    return statement


def restore(connection: BaseDatabaseWrapper, source: str) -> str:
    """Have the server create the database from a backup; return the statement.

    Raises BackupError if the database exists: its contents would be lost.
    """
    name = str(connection.settings_dict["NAME"])
    connection.close()
    with closing(_without_query_timeout(connection)) as own:
        own.settings_dict["NAME"] = "master"
        if _row(own, _DATABASE_ID, name) != (None,):
            raise BackupError(
                f"the database {name} exists, and its contents would be lost: docs/sqlserver.md has the statement"
                " that restores over it"
            )
        statement = restore_statement(name=name, source=source)
        run_to_end(own, statement)
    return statement


def backup_statement(*, name: str, target: str, compressed: bool) -> str:
    """Return the BACKUP statement. COPY_ONLY does not affect the server's own chain of differential backups.

    https://learn.microsoft.com/en-us/sql/t-sql/statements/backup-transact-sql
    """
    options = ["COPY_ONLY", "CHECKSUM"]
    if compressed:
        options.append("COMPRESSION")
    if not is_url(target):
        # Otherwise an existing file gets a second backup, and RESTORE reads the first. For a URL, INIT is an error.
        options.append("INIT")
    return f"BACKUP DATABASE {quote_identifier(name)} TO {medium(target)} WITH {', '.join(options)}"


def restore_statement(*, name: str, source: str) -> str:
    """Return the RESTORE statement. Without REPLACE, the server refuses to overwrite another database's files."""
    return f"RESTORE DATABASE {quote_identifier(name)} FROM {medium(source)} WITH CHECKSUM"


def medium(place: str) -> str:
    """Return the T-SQL clause for a path or URL."""
    return f"{'URL' if is_url(place) else 'DISK'} = {quote_string(place)}"


def is_url(place: str) -> bool:
    """Return whether the place is a URL of Azure Blob Storage or S3 rather than a path."""
    return place.lower().startswith(("https://", "s3://"))


def compresses(engine_edition: int, edition: str) -> bool:
    """Return whether the server's edition can compress a backup."""
    return engine_edition in COMPRESSING_EDITIONS and not edition.startswith("Web")


def run_to_end(connection: BaseDatabaseWrapper, statement: str) -> None:
    """Run the statement outside any transaction, and read all messages of the server.

    A BACKUP reports its progress, and the server aborts it if the client closes the cursor before the last message.
    This uses the driver's own cursor, since the backend's changes a text that contains a %.
    """
    connection.ensure_connection()
    driver: Any = connection.connection
    with connection.wrap_database_errors, closing(driver.cursor()) as cursor:
        cursor.execute(statement)
        while cursor.nextset():
            pass


def _without_query_timeout(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """Return a separate connection to the same database, without the query timeout of requests."""
    own = connection.copy()
    own.settings_dict["OPTIONS"]["query_timeout"] = 0
    return own


def _row(connection: BaseDatabaseWrapper, sql: str, *parameters: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()
