"""Measure the cost of Django and the backend: the service's functions compared with the same statements in pyodbc.

    var/env/local/bin/python -m local run tasks python ../../tests/sqlserver/timings.py

Runs on the migrated database that DATABASE_URL names, through the Python driver that it names; "bare pyodbc" is always
pyodbc. Deletes the tasks that it creates; their events stay.
"""

import copy
import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing
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
WARM_UP = 50
# No user has this id.
OWNER = 2**63 - 1

LIST = """
SELECT TOP 5 id, title, duration, version, created_at, updated_at FROM tasks_task
WHERE owner_id = ? ORDER BY created_at DESC, id DESC
"""


def measure(calls: dict[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    """Return the median elapsed time and CPU time of each call in milliseconds, running the calls in turn.

    In turn, so that other work on the machine slows all of them alike. The CPU time is that of this thread, which
    excludes waiting for the server.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for number in range(WARM_UP + CALLS):
        for name, call in calls.items():
            started, busy = time.perf_counter(), time.thread_time()
            call()
            passed = (time.perf_counter() - started, time.thread_time() - busy)
            if number >= WARM_UP:
                times[name].append(passed)
    return {name: (_median_ms(values, 0), _median_ms(values, 1)) for name, values in times.items()}


def _median_ms(values: list[tuple[float, float]], column: int) -> float:
    return statistics.median(value[column] for value in values) * 1000


def bare_pyodbc() -> pyodbc.Connection:
    """Connect with the backend's connection string, but without the backend."""
    settings = copy.deepcopy(connection.settings_dict)
    settings["OPTIONS"].pop("python_driver", None)
    bare = pyodbc.connect(connection._build_connection_string(settings, "ODBC Driver 18 for SQL Server"))
    bare.autocommit = True
    # pyodbc does not support datetimeoffset.
    bare.add_output_converter(-155, bytes)
    return bare


def main() -> None:
    task = services.create_task(owner_id=OWNER, title="Measured", duration=30)
    driver = connection.settings_dict["OPTIONS"].get("python_driver", "pyodbc")
    page = Page(limit=4, before=None)
    retrieve = raw_sql.RETRIEVE.replace("%s", "?")
    create = raw_sql.CREATE["microsoft"].replace("%s", "?")
    try:
        with closing(bare_pyodbc()) as bare:

            def create_bare() -> None:
                now = timezone.now().replace(tzinfo=None)
                values = (OWNER, "Measured", 30, 1, now, now, uuid.uuid4().hex, "")
                bare.execute(create, *values).fetchall()

            times = measure(
                {
                    "list": lambda: selectors.list_tasks(owner_id=OWNER, page=page),
                    "list, bare": lambda: bare.execute(LIST, OWNER).fetchall(),
                    "retrieve": lambda: raw_sql.retrieve(task_id=task.id, owner_id=OWNER),
                    "retrieve, bare": lambda: bare.execute(retrieve, task.id, OWNER).fetchall(),
                    "create": lambda: services.create_task(owner_id=OWNER, title="Measured", duration=30),
                    "create, bare": create_bare,
                    "health check": connection.is_usable,
                }
            )
    finally:
        Task.objects.filter(owner_id=OWNER).delete()
        connection.close()
    print(f"{driver}, {CALLS} calls of each in turn: median ms, of which CPU, ratios to bare pyodbc")
    for name, (elapsed, busy) in times.items():
        bare_times = times.get(f"{name}, bare")
        ratios = f"  x {elapsed / bare_times[0]:.1f}  x {busy / bare_times[1]:.1f}" if bare_times else ""
        print(f"{name:<16} {elapsed:7.2f} {busy:7.2f}{ratios}")


if __name__ == "__main__":
    main()
