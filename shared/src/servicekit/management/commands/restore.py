"""manage.py restore: replace the database with a backup."""

import datetime
import shutil
import sqlite3
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseLayerError
from django.db import connection

from servicekit.database.backups import BackupError, sqlite, sqlserver
from servicekit.database.diagnosis import explain
from servicekit.database.locks import one_at_a_time


class Command(BaseCommand):
    """Works in a container too: it needs only the service's own environment."""

    help = (
        "Restore the database of all services, which nothing may use meanwhile. An existing SQLite file is kept under"
        " another name. On SQL Server the database must not exist."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", help="a file, or - for standard input; on SQL Server the server's path or URL")

    def handle(self, *args: Any, source: str, **options: Any) -> None:
        try:
            if connection.vendor == "sqlite":
                with one_at_a_time(connection):
                    self._sqlite(Path(connection.settings_dict["NAME"]), source)
            else:
                self.stdout.write(f"done: {sqlserver.restore(connection, source)}")
        except (BackupError, sqlite3.Error) as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from None
        except DatabaseLayerError as error:
            raise CommandError(explain(error)) from None

    def _sqlite(self, database: Path, source: str) -> None:
        now = datetime.datetime.now(datetime.UTC)
        if source == "-":
            with tempfile.NamedTemporaryFile(dir=database.parent) as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
                file.flush()
                previous = sqlite.restore(Path(file.name), database, now=now)
        else:
            previous = sqlite.restore(Path(source), database, now=now)
        self.stdout.write(f"restored: {database}")
        if previous:
            self.stdout.write(f"the previous file is kept: {previous}")
