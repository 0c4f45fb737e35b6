"""Migrate a table that another connection has locked by a write, and print the error."""

from typing import Any

import django

django.setup()

from django.core.management import CommandError, call_command
from django.core.management.commands import migrate as django_migrate
from django.db import connection

from servicekit.management.commands import migrate


def alter(*_: Any, **__: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE more ADD name int")


with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE more (id int)")
other = connection.copy()
other.set_autocommit(False)
with other.cursor() as cursor:
    cursor.execute("INSERT INTO more (id) VALUES (1)")

migrate.LOCK_TIMEOUT_MILLISECONDS = 500
django_migrate.Command.handle = alter  # type: ignore[method-assign]
try:
    call_command("migrate")
except CommandError as error:
    print(error)
finally:
    other.rollback()
    other.close()
