"""Two real transactions that deadlock: the server aborts one of them, and both complete."""

import json
from typing import Any

import pytest

from support.commands import manage, output_of, program
from support.sqlserver import DRIVERS, Server


@pytest.fixture(scope="module")
def database(server: Server) -> str:
    return server.create(migrate=("tasks",))


def deadlock(url: str, *, retries: bool) -> dict[str, Any]:
    result = manage(*program("tasks/deadlock"), "retry" if retries else "once", DATABASE_URL=url)
    outcome: dict[str, Any] = json.loads(output_of(result).splitlines()[-1])
    return outcome


@pytest.mark.parametrize("python_driver", DRIVERS)
def test_victim_runs_again_and_no_half_is_stored(database: str, python_driver: str) -> None:
    outcome = deadlock(f"{database}&python_driver={python_driver}", retries=True)

    assert outcome == {"runs": [1, 2], "raised": [], "durations": [3, 3]}


@pytest.mark.parametrize("python_driver", DRIVERS)
def test_without_a_retry_the_victims_error_means_unavailable(database: str, python_driver: str) -> None:
    outcome = deadlock(f"{database}&python_driver={python_driver}", retries=False)

    error = {"pyodbc": "Error", "mssql_python": "OperationalError"}[python_driver]
    assert outcome == {"runs": [1, 1], "raised": [[error, True, True]], "durations": [2, 2]}
