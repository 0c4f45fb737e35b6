"""make bench: the stack beside a bare WSGI function, FastAPI and Django REST framework (docs/performance.md).

All targets keep running, and the measurements alternate between them, so that drift of the machine affects all equally.
"""

import contextlib
import json
import os
import platform
import sqlite3
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import targets
from load import Load, generator, run
from report import chart, table
from targets import USER_ID, Target

ROWS = int(os.environ.get("ROWS", "100000"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = int(os.environ.get("SECONDS", "3"))
CONNECTIONS = [int(number) for number in os.environ.get("CONNECTIONS", "16,256").split(",")]
NAMES = os.environ.get("TARGETS", "floor,fastapi,drf,project,service,unmeasured").split(",")
OPERATIONS = os.environ.get("OPERATIONS", "list,retrieve,create,rename,delete").split(",")
OUTPUT = Path(os.environ.get("OUTPUT", targets.STATE))

OWN_TASKS = 1000
# The first id of the tasks that exist only to be deleted.
DOOMED = 10**9
INSERT = (
    "INSERT INTO tasks_task (id, owner_id, title, duration, version, created_at, updated_at)"
    " VALUES (?, ?, 'Write the report', 30, 1, '2026-01-31 09:30:00.123456', '2026-01-31 09:30:00.123456')"
)


def main() -> None:
    results: list[dict[str, Any]] = []
    with _running() as running:
        for number in range(ROUNDS):
            for connections in CONNECTIONS:
                for operation in OPERATIONS:
                    # A different target starts in each round.
                    for target in running[number % len(running) :] + running[: number % len(running)]:
                        results.append(_measure(target, operation, connections))
                        print(".", end="", flush=True, file=sys.stderr)
        print(file=sys.stderr)
        memory = {target.name: {kind: size for kind, (_, size) in target.usage().items()} for target in running}
    summary = _summary(results, memory)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "results.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    (OUTPUT / "chart.svg").write_text(chart(summary), encoding="utf-8")
    print(table(summary))


@contextlib.contextmanager
def _running() -> Iterator[list[Target]]:
    with contextlib.ExitStack() as stack:
        project = stack.enter_context(targets.project())
        _fill(project.database)
        others = [stack.enter_context(targets.peer(name, project.database)) for name in NAMES if name != "project"]
        by_name = {target.name: target for target in [project, *others]}
        yield [by_name[name] for name in NAMES]


def _fill(path: Path) -> None:
    """Insert many tasks of many other users and some of the measured user."""
    rows = [(number + 1, 2 + number % 1000) for number in range(OWN_TASKS, ROWS)]
    _insert(path, [(number + 1, USER_ID) for number in range(OWN_TASKS)] + rows)


def _insert(path: Path, rows: list[tuple[int, int]]) -> None:
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as database, database:
        database.executemany(INSERT, rows)


def _measure(target: Target, operation: str, connections: int) -> dict[str, Any]:
    load = _load(target, operation)
    before = target.usage()
    measured = run(load, port=target.port, token=targets.token(), seconds=SECONDS, connections=connections)
    after = target.usage()
    cpu = {
        kind: (seconds - before.get(kind, (0.0, 0))[0]) / max(measured.requests, 1) * 1e6
        for kind, (seconds, _) in after.items()
    }
    return {"target": target.name, "operation": operation, "connections": connections, "cpu_us": cpu} | asdict(measured)


def _load(target: Target, operation: str) -> Load:
    task, title = '{"title": "Write the report", "duration": 90}', '{"title": "Send the report"}'
    if operation == "delete":
        count = SECONDS * 20_000
        with contextlib.closing(sqlite3.connect(target.database, timeout=10)) as database, database:
            database.execute("DELETE FROM tasks_task WHERE id >= ?", [DOOMED])
        _insert(target.database, [(DOOMED + number, USER_ID) for number in range(count)])
        return Load("DELETE", "/api/tasks/", first=DOOMED, ids=count)
    return {
        "list": Load("GET", "/api/tasks"),
        "retrieve": Load("GET", "/api/tasks/", first=1, ids=OWN_TASKS),
        "create": Load("POST", "/api/tasks", body=task),
        "rename": Load("PATCH", "/api/tasks/", body=title, first=1, ids=OWN_TASKS),
    }[operation]


def _summary(results: list[dict[str, Any]], memory: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Return the medians over the rounds of each measurement, and their ratio to the floor's."""
    rows: list[dict[str, Any]] = []
    for connections in CONNECTIONS:
        for operation in OPERATIONS:
            group = [row for row in results if (row["operation"], row["connections"]) == (operation, connections)]
            medians = {name: _median([row for row in group if row["target"] == name]) for name in NAMES}
            base = medians.get("floor")
            for row in medians.values():
                rows.append(row | {"ratio": row["rps"] / base["rps"] if base else None})
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    settings = {"rows": ROWS, "rounds": ROUNDS, "seconds": SECONDS, "generator": generator()}
    return {"machine": machine, "settings": settings, "rows": rows, "memory_bytes": memory}


def _median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    kinds = rounds[0]["cpu_us"]
    return {
        **{name: rounds[0][name] for name in ("target", "operation", "connections")},
        "rps": statistics.median(row["requests"] / row["seconds"] for row in rounds),
        **{name: statistics.median(row[name] for row in rounds) for name in ("p50_ms", "p99_ms")},
        "errors": sum(row["errors"] for row in rounds),
        "cpu_us": {kind: statistics.median(row["cpu_us"].get(kind, 0) for row in rounds) for kind in kinds},
    }


if __name__ == "__main__":
    main()
