"""manage.py backup: write a consistent copy of the database while it is in use."""

import shutil
import sqlite3
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseLayerError
from django.db import connection

from servicekit.database.backups import BackupError, sqlite, sqlserver
from servicekit.database.diagnosis import explain


class Command(BaseCommand):
    """Works in a container too: it needs only the service's own environment."""

    help = (
        "Back up the database of all services while it is in use. SQLite is copied to a new file or, for -, to standard"
        " output. SQL Server writes to a path on its machine or a URL."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("target", help="a file, or - for standard output; on SQL Server the server's path or URL")

    def handle(self, *args: Any, target: str, **options: Any) -> None:
        try:
            if connection.vendor == "sqlite":
                self._sqlite(Path(connection.settings_dict["NAME"]), target)
            else:
                self.stdout.write(f"done: {sqlserver.back_up(connection, target)}")
        except (BackupError, sqlite3.Error) as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from None
        except DatabaseLayerError as error:
            raise CommandError(explain(error)) from None

    def _sqlite(self, database: Path, target: str) -> None:
        if target == "-":
            with sqlite.verified_copy(database, folder=database.parent) as copy, copy.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
                sys.stdout.buffer.flush()
        else:
            sqlite.back_up(database, Path(target))
            self.stdout.write(f"backup: {target} ({Path(target).stat().st_size:,} bytes)")
