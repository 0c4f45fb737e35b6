"""The system's main use, from the first request through the gateway to the worker's report."""

from collections.abc import Callable
from typing import Any

import pytest

from support.accounts import PASSWORD, Account, register
from support.stack import Stack
from support.waiting import wait_until

# Up to a minute until the next tick, plus time for a busy machine.
NEXT_TICK_SECONDS = 80


def test_a_person_registers_logs_in_and_works_on_tasks(stack: Stack, first: Account) -> None:
    credentials = {"username": "Grace", "password": PASSWORD}
    registered = stack.call("POST", "/api/auth/register", json=credentials)
    assert registered.status_code == 201
    tokens = stack.call("POST", "/api/auth/token", json=credentials).json()
    assert tokens["expires_in"] == 300
    token = tokens["access"]

    created = stack.call("POST", "/api/tasks", token=token, json={"title": " Write 😀 ", "duration": 90})
    task = created.json()
    assert created.status_code == 201
    assert created.headers["Location"] == f"/api/tasks/{task['id']}"
    assert list(task) == ["id", "title", "duration", "created_at", "updated_at"]
    assert (task["title"], task["duration"]) == ("Write 😀", 90)

    read = stack.call("GET", created.headers["Location"], token=token)
    assert (read.status_code, read.json(), read.headers["ETag"]) == (200, task, created.headers["ETag"])

    renamed = stack.call("PATCH", created.headers["Location"], token=token, json={"title": "Rewrite"})
    assert renamed.status_code == 200
    assert renamed.json() == {**task, "title": "Rewrite", "updated_at": renamed.json()["updated_at"]}
    assert renamed.json()["updated_at"] > task["updated_at"]
    assert renamed.headers["ETag"] != created.headers["ETag"]

    replaced = stack.call("PUT", f"/api/tasks/{task['id']}/", token=token, json={"title": "Once more"})
    assert (replaced.status_code, replaced.json()["title"]) == (200, "Once more")

    assert stack.call("GET", "/api/tasks/", token=token).json() == [replaced.json()]
    assert stack.call("DELETE", f"/api/tasks/{task['id']}", token=token).status_code == 204
    assert stack.call("GET", f"/api/tasks/{task['id']}", token=token).status_code == 404
    assert stack.call("GET", "/api/tasks", token=token).json() == []

    renewed = stack.call("POST", "/api/auth/token/refresh", json={"refresh": tokens["refresh"]}).json()
    assert stack.call("GET", "/api/auth/me", token=renewed["access"]).json()["username"] == "grace"
    assert stack.call("POST", "/api/auth/token/verify", json={"token": renewed["access"]}).json() == {}


def test_the_list_is_the_last_four_newest_first_and_pages_reach_the_rest(stack: Stack, first: Account) -> None:
    lister = register(stack, "lister")
    created = [
        stack.call("POST", "/api/tasks", token=lister.access, json={"title": f"task {n}", "duration": n}).json()
        for n in range(1, 11)
    ]
    assert stack.call("GET", "/api/tasks", token=lister.access).json() == created[:5:-1]

    assert stack.all_tasks(token=lister.access, limit=3) == created[::-1]


def test_beat_makes_the_worker_print_the_tasks_of_user_1_once_a_minute(
    stack: Stack, first: Account, forge: Callable[..., str]
) -> None:
    for title, duration in (("Water the plants", 5), ("Ship it", 45)):
        stack.call("POST", "/api/tasks", token=first.access, json={"title": title, "duration": duration})
    tasks = stack.call("GET", "/api/tasks", token=first.access).json()
    staff = forge(is_staff=True)

    def report() -> dict[str, Any] | None:
        runs = stack.call("GET", "/api/jobs/runs?job=report-user-tasks", token=staff).json()
        printed = [line for line in stack.log() if line.get("title") == "Ship it"]
        return runs[0] if printed and runs and runs[0]["state"] == "succeeded" else None

    run = wait_until(report, timeout=NEXT_TICK_SECONDS)
    assert (run["job"], run["attempts"]) == ("report-user-tasks", 1)
    assert run["slot"].endswith(":00.000000Z")

    printed = [line for line in stack.log() if "duration" in line and "title" in line]
    slots = {line["request_id"] for line in printed}
    # Each run prints one line per task, with the report's four fields.
    assert len(printed) == len(tasks) * len(slots)
    for task in tasks:
        assert {key: task[key] for key in ("title", "duration", "created_at", "updated_at")} in [
            {key: line[key] for key in ("title", "duration", "created_at", "updated_at")} for line in printed
        ]

    job = next(job for job in stack.call("GET", "/api/jobs", token=staff).json() if job["name"] == "report-user-tasks")
    assert job["schedule"] == "* * * * *"
    assert job["last_run"]["slot"] >= run["slot"]
    assert job["next_due"] > job["last_run"]["slot"]


@pytest.mark.parametrize("path", ["/api/jobs", "/api/jobs/runs", "/api/jobs/runs/1"])
def test_jobs_are_for_staff(stack: Stack, ada: Account, path: str) -> None:
    assert stack.call("GET", path).status_code == 401
    assert stack.call("GET", path, token=ada.access).status_code == 403


def test_show_tasks_prints_every_task(stack: Stack, task: dict[str, Any]) -> None:
    output = stack.show_tasks()
    assert f"#{task['id']}  user " in output
    assert output.splitlines()[-1].startswith("Done: ")
