"""BACKUP and RESTORE of SQL Server, which writes and reads files of its own machine, or a URL."""

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
    """Have the server write a backup to a path or URL of its own; return the statement."""
    with closing(_patient_copy(connection)) as own:
        statement = backup_statement(
            name=str(own.settings_dict["NAME"]), target=target, compressed=compresses(*_row(own, _EDITION))
        )
        run_to_end(own, statement)
    return statement


def restore(connection: BaseDatabaseWrapper, source: str) -> str:
    """Have the server make the database from a backup; return the statement.

    Raises BackupError where the database exists: what it holds would be lost.
    """
    name = str(connection.settings_dict["NAME"])
    connection.close()
    with closing(_patient_copy(connection)) as own:
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
    """Return the statement. COPY_ONLY leaves the server's own chain of differential backups alone.

    https://learn.microsoft.com/en-us/sql/t-sql/statements/backup-transact-sql
    """
    options = ["COPY_ONLY", "CHECKSUM"]
    if compressed:
        options.append("COMPRESSION")
    if not is_url(target):
        # Otherwise a file that exists gets a second backup, and RESTORE takes the first. At a URL it is an error.
        options.append("INIT")
    return f"BACKUP DATABASE {quote_identifier(name)} TO {medium(target)} WITH {', '.join(options)}"


def restore_statement(*, name: str, source: str) -> str:
    """Return the statement. Without REPLACE, the server refuses to overwrite another database's files."""
    return f"RESTORE DATABASE {quote_identifier(name)} FROM {medium(source)} WITH CHECKSUM"


def medium(place: str) -> str:
    """Return how T-SQL names a path or URL."""
    return f"{'URL' if is_url(place) else 'DISK'} = {quote_string(place)}"


def is_url(place: str) -> bool:
    """Return whether the place is in Azure Blob Storage or S3, and not a path."""
    return place.lower().startswith(("https://", "s3://"))


def compresses(engine_edition: int, edition: str) -> bool:
    """Return whether the server's edition can compress a backup."""
    return engine_edition in COMPRESSING_EDITIONS and not edition.startswith("Web")


def run_to_end(connection: BaseDatabaseWrapper, statement: str) -> None:
    """Run the statement outside of any transaction, and read all that the server reports.

    A BACKUP reports its progress, and the server ends it where the client closes the cursor before its last message.
    By the driver's own cursor, since the backend's changes a text with a % in it.
    """
    connection.ensure_connection()
    driver: Any = connection.connection
    with connection.wrap_database_errors, closing(driver.cursor()) as cursor:
        cursor.execute(statement)
        while cursor.nextset():
            pass


def _patient_copy(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """Return a connection of our own, without the time limit of a request's queries."""
    own = connection.copy()
    own.settings_dict["OPTIONS"]["query_timeout"] = 0
    return own


def _row(connection: BaseDatabaseWrapper, sql: str, *parameters: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()
