"""manage.py show_tasks: print every task in the database, one at a time."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from servicekit.http.times import iso_utc
from servicekit.process.logging import printable
from tasks.models import Task

PAGE_SIZE = 100


class Command(BaseCommand):
    """Prints the tasks, read by key in small pages, so that no cursor or transaction stays open between two rows."""

    help = "Print every task in the database, one every --interval seconds, until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--interval", type=float, metavar="SECONDS", help="pause between two tasks (default: 10, with --once 0)"
        )
        parser.add_argument("--once", action="store_true", help="print all tasks without pauses")

    def handle(self, *args: Any, interval: float | None, once: bool, **options: Any) -> None:
        pause = interval if interval is not None else 0 if once else 10
        if not 0 <= pause <= 86_400:
            raise CommandError("--interval must be from 0 to 86400 seconds")
        shown = total = 0
        try:
            total = Task.objects.count()
            self.stdout.write(f"{total} tasks" if total != 1 else "1 task")
            for task in _every_task():
                if shown and pause:
                    time.sleep(pause)
                shown += 1
                self.stdout.write(
                    # Tasks may be added meanwhile, so the total is the initial one or the number shown.
                    f"{shown}/{max(shown, total)}  #{task.id}  user {task.owner_id}  {printable(task.title)}"
                    f"  {task.duration} min  created {iso_utc(task.created_at)}  updated {iso_utc(task.updated_at)}"
                )
                self.stdout.flush()
        except KeyboardInterrupt:
            self.stdout.write("")
            self.stdout.write(f"Stopped: {shown} of {max(shown, total)} shown.")
            return
        self.stdout.write(f"Done: {shown} shown.")


def _every_task() -> Iterator[Task]:
    """Yield all tasks by ascending id, read in pages."""
    last_id = 0
    while page := list(Task.objects.filter(id__gt=last_id).order_by("id")[:PAGE_SIZE]):
        # Showing a page takes minutes; a server or firewall could drop the idle connection meanwhile.
        connection.close()
        yield from page
        last_id = page[-1].id
