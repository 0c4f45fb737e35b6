"""Model fields whose columns behave the same on SQL Server and SQLite."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class ExactCharField(models.CharField):  # type: ignore[type-arg] # not subscriptable at run time
    """Text that is compared exactly, regardless of the database's collation.

    In most collations of SQL Server か equals カ, æ equals ae, and characters newer than the collation are ignored.
    This field compares code points; only trailing spaces are still ignored.
    https://learn.microsoft.com/en-us/sql/relational-databases/collations/collation-and-unicode-support
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Add the collation on SQL Server; SQLite compares code points by default."""
        collation = {"collation": "Latin1_General_100_BIN2"} if connection.vendor == "microsoft" else {}
        return {**super().db_parameters(connection), **collation}


class HexUUIDField(models.UUIDField):  # type: ignore[type-arg] # not subscriptable at run time
    """A UUID in a column of the same type as the parameters that the drivers bind.

    The backend's own type is char(32), but a bound string is nvarchar. To compare the two, SQL Server converts the
    column, which under its SQL_… collations means a scan of all sessions instead of a seek.
    https://learn.microsoft.com/en-us/sql/t-sql/data-types/data-type-precedence-transact-sql
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Return nvarchar(32) on SQL Server."""
        return "nvarchar(32)" if connection.vendor == "microsoft" else super().db_type(connection)
