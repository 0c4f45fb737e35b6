"""What Django and the backend cost on top of a driver: the service's functions beside the same statements in pyodbc.

    var/env/local/bin/python local/run.py tasks python ../../tests/sqlserver/timings.py

Runs on the migrated database that DATABASE_URL names, through the Python driver that it names; "bare pyodbc" is always
pyodbc. Prints the median and the 95th percentile of each call in milliseconds, and deletes the tasks that it creates.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import django
import pyodbc

sys.path.insert(0, str(Path.cwd()))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tasks_service.settings")
django.setup()

from django.db import connection  # noqa: E402 - after setup()
from django.utils import timezone  # noqa: E402

from servicekit.http.pagination import Page  # noqa: E402
from tasks import raw_sql, selectors, services  # noqa: E402
from tasks.models import Task  # noqa: E402

CALLS = 1000
# No user has this id.
OWNER = 2**63 - 1

LIST = """
SELECT TOP 5 id, title, duration, version, created_at, updated_at FROM tasks_task
WHERE owner_id = ? ORDER BY created_at DESC, id DESC
"""
CREATE = """
INSERT INTO tasks_task (owner_id, title, duration, version, created_at, updated_at) OUTPUT inserted.id
VALUES (?, ?, ?, ?, ?, ?)
"""


def measure(name: str, call: Callable[[], object]) -> None:
    for _ in range(50):
        call()
    times = []
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    print(f"{name:<30} {statistics.median(times):6.2f} {statistics.quantiles(times, n=20)[-1]:6.2f}")


def main() -> None:
    task = services.create_task(owner_id=OWNER, title="Measured", duration=30)
    settings = connection.settings_dict
    driver = settings["OPTIONS"].get("python_driver", "pyodbc")
    try:
        measure(f"list, {driver}", lambda: selectors.list_tasks(owner_id=OWNER, page=Page(limit=4, before=None)))
        measure(f"retrieve, {driver}", lambda: raw_sql.retrieve(task_id=task.id, owner_id=OWNER))
        measure(f"create, {driver}", lambda: services.create_task(owner_id=OWNER, title="Measured", duration=30))
        measure(f"health check, {driver}", connection.is_usable)

        connection.settings_dict["OPTIONS"].pop("python_driver", None)
        bare = pyodbc.connect(connection._build_connection_string(settings, "ODBC Driver 18 for SQL Server"))
        bare.autocommit = True
        # As the backend does: pyodbc does not know this type.
        bare.add_output_converter(-155, bytes)
        retrieve = raw_sql.RETRIEVE.replace("%s", "?")
        now = timezone.now().replace(tzinfo=None)
        values = (OWNER, "Measured", 30, 1, now, now)
        measure("list, bare pyodbc", lambda: bare.execute(LIST, OWNER).fetchall())
        measure("retrieve, bare pyodbc", lambda: bare.execute(retrieve, task.id, OWNER).fetchall())
        measure("create, bare pyodbc", lambda: bare.execute(CREATE, *values).fetchall())
        bare.close()
    finally:
        connection.close()
        Task.objects.filter(owner_id=OWNER).delete()


if __name__ == "__main__":
    main()
