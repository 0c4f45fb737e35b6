"""The services migrate one database, in any order and concurrently."""

import os
import subprocess
from collections.abc import Callable

import pytest

from support.paths import CHECKOUT, SERVICES, python

# Each service twice: its two processes create the same tables, and all processes create the table of migrations.
STARTS = SERVICES * 2
ROUNDS = 3


def migrate_at_once(environment: dict[str, str]) -> list[tuple[int, str]]:
    """Return each process's exit code and, if that is not 0, its output."""
    processes = [
        subprocess.Popen(
            [python(service), "manage.py", "migrate", "--noinput"],
            cwd=CHECKOUT / "services" / service,
            env={"PATH": os.defpath, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for service in STARTS
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    return [
        (process.returncode, output if process.returncode else "")
        for process, output in zip(processes, outputs, strict=True)
    ]


@pytest.mark.parametrize("_", range(ROUNDS))
def test_all_services_migrate_an_empty_database_at_once_and_again(
    environment: dict[str, str], empty_database: Callable[[], dict[str, str]], _: int
) -> None:
    environment = environment | empty_database()

    assert migrate_at_once(environment) == [(0, "")] * len(STARTS)
    assert migrate_at_once(environment) == [(0, "")] * len(STARTS)
