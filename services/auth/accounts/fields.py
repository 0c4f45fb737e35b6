"""Columns that are what they are on SQLite also on SQL Server."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class ExactCharField(models.CharField):  # type: ignore[type-arg] # not subscriptable when it runs
    """Text that equals no other text, whatever the collation of the database.

    By most collations of SQL Server か equals カ, æ equals ae, and characters that are younger than the collation equal
    nothing at all. This one goes by the code (only spaces at the end still do not count).
    https://learn.microsoft.com/en-us/sql/relational-databases/collations/collation-and-unicode-support
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """With the collation where it is known; SQLite compares by the code of itself."""
        collation = {"collation": "Latin1_General_100_BIN2"} if connection.vendor == "microsoft" else {}
        return {**super().db_parameters(connection), **collation}


class HexUUIDField(models.UUIDField):  # type: ignore[type-arg] # likewise
    """A UUID in a column of the type in which the drivers bind it.

    The backend's own is a char(32). A bound string is an nvarchar, and to compare the two SQL Server converts the
    column, which takes a scan of all sessions in place of a seek under its SQL_… collations.
    https://learn.microsoft.com/en-us/sql/t-sql/data-types/data-type-precedence-transact-sql
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """nvarchar(32) on SQL Server."""
        return "nvarchar(32)" if connection.vendor == "microsoft" else super().db_type(connection)
