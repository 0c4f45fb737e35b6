"""Two real transactions that wait for each other: the server ends one of them, and both get done."""

import json
from typing import Any

import pytest

DRIVERS = ("pyodbc", "mssql_python")

# Two threads change the same two rows in opposite orders; a barrier between the two changes makes the deadlock certain,
# in the first round. What is printed: how often each ran, what was raised, and what stands in the rows.
SCRIPT = """
import json, os, threading, django
django.setup()
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from servicekit.database.deadlocks import is_deadlock_victim, retries_deadlocks
from servicekit.database.outages import is_unavailable
from tasks.models import Task

now = timezone.now()
rows = [Task.objects.create(owner_id=1, title="x", duration=1, created_at=now, updated_at=now).id for _ in range(2)]
connection.close()
meet = threading.Barrier(2)
runs, raised = [0, 0], []

def change(number, first, second):
    def transact():
        runs[number] += 1
        with transaction.atomic():
            add(first)
            if runs[number] == 1:
                meet.wait(10)
            inner(second)
    add = lambda row: Task.objects.filter(id=row).update(duration=F("duration") + 1)
    # Inside of the transaction, where it must not try again.
    inner = retries_deadlocks(add)
    try:
        (retries_deadlocks(transact) if os.environ["RETRIES"] == "1" else transact)()
    except Exception as error:
        raised.append([type(error).__name__, is_deadlock_victim(error), is_unavailable(error)])
    finally:
        connection.close()

threads = [threading.Thread(target=change, args=(n, *rows[::1 - 2 * n])) for n in (0, 1)]
[thread.start() for thread in threads]
[thread.join(60) for thread in threads]
durations = list(Task.objects.filter(id__in=rows).values_list("duration", flat=True))
print(json.dumps({"runs": sorted(runs), "raised": raised, "durations": durations}))
"""


@pytest.fixture(scope="module")
def database(server, manage) -> str:
    url = server.made()
    assert manage("migrate", "--verbosity", "0", DATABASE_URL=url).returncode == 0
    return url


def deadlock(manage: Any, url: str, *, retries: bool) -> dict[str, Any]:
    result = manage("-c", SCRIPT, DATABASE_URL=url, RETRIES=str(int(retries)))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("python_driver", DRIVERS)
def test_victim_runs_again_and_no_half_is_stored(manage, database: str, python_driver: str) -> None:
    outcome = deadlock(manage, f"{database}&python_driver={python_driver}", retries=True)

    assert outcome == {"runs": [1, 2], "raised": [], "durations": [3, 3]}


@pytest.mark.parametrize("python_driver", DRIVERS)
def test_without_a_retry_the_victim_is_told_that_the_database_is_away(
    manage, database: str, python_driver: str
) -> None:
    outcome = deadlock(manage, f"{database}&python_driver={python_driver}", retries=False)

    error = {"pyodbc": "Error", "mssql_python": "OperationalError"}[python_driver]
    assert outcome == {"runs": [1, 1], "raised": [[error, True, True]], "durations": [2, 2]}
