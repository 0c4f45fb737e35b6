"""Django's manage.py migrate, but for one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import Error as DatabaseLayerError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from servicekit.database.diagnosis import LOCKED, explain
from servicekit.database.locks import WAIT_SECONDS, LockTimeout, one_at_a_time

# A migration may run for long but must not wait for long, since other statements then wait behind it.
LOCK_TIMEOUT_MILLISECONDS = 30_000


class Command(migrate.Command):
    """Migrates while no other process does.

    The services migrate one database, and each creates the table django_migrations if it is missing: two that do so
    simultaneously fail. So do two processes of one service, which would create the same tables.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        with _no_query_timeout(connection):
            try:
                connection.ensure_connection()
            except DatabaseLayerError as error:
                raise CommandError(explain(error)) from None
            try:
                with one_at_a_time(connection):
                    if connection.vendor == "microsoft":
                        with connection.cursor() as cursor:
                            cursor.execute(f"SET LOCK_TIMEOUT {LOCK_TIMEOUT_MILLISECONDS}")
                    super().handle(*args, **options)
            except DatabaseLayerError as error:
                if explain(error) != LOCKED:
                    raise
                raise CommandError(LOCKED) from None
            except LockTimeout:
                raise CommandError(f"another process has been migrating this database for {WAIT_SECONDS} s") from None


@contextmanager
def _no_query_timeout(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Lift the query timeout: an index on a large table takes longer than a request's query is allowed."""
    if connection.vendor != "microsoft":
        yield
        return
    options = connection.settings_dict["OPTIONS"]
    before = options["query_timeout"]
    # An open connection keeps the timeout that it was opened with.
    connection.close()
    options["query_timeout"] = 0
    try:
        yield
    finally:
        connection.close()
        options["query_timeout"] = before
