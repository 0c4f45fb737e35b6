"""Print the query and lock timeouts before, during and after a migration; show() replaces the migration itself."""

from typing import Any

import django

django.setup()

from django.core.management import call_command
from django.core.management.commands import migrate
from django.db import connection


def show(*_: Any, **__: Any) -> None:
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@LOCK_TIMEOUT")
        print(connection.connection.timeout, cursor.fetchone()[0])


migrate.Command.handle = show  # type: ignore[method-assign]
show()
call_command("migrate")
show()
