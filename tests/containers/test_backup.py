"""`make docker-backup` of a stack during writes, and `make docker-restore` into one without volumes."""

import sqlite3
from contextlib import closing
from pathlib import Path

from support.compose import Project
from support.waiting import wait_until

from .conftest import Client, creates, load


def test_a_backup_restored_where_nothing_is_left(project: Project, client: Client, tmp_path: Path) -> None:
    backup = tmp_path / "a backup.sqlite3"
    with load(creates(client), clients=2) as seen:
        wait_until(lambda: len(seen.acknowledged) > 10, timeout=20, what="tasks are created")
        before = set(seen.acknowledged)
        project.run("make", "docker-backup", f"FILE={backup}")
        during = len(seen.acknowledged) - len(before)
    assert set(seen.statuses) == {201}
    assert backup.stat().st_mode & 0o777 == 0o600
    ended = Client(project, username=client.username).log_in()
    assert project.request("POST", "/api/auth/logout", json={"refresh": ended.refresh}).status_code == 204
    second = tmp_path / "second"
    project.run("make", "docker-backup", f"FILE={second}")
    with closing(sqlite3.connect(backup)) as opened:
        (tasks,) = opened.execute("SELECT count(*) FROM tasks_task").fetchone()
    print(f"{tasks} tasks in the backup; {during} were created during it")

    refused = project.run("make", "docker-restore", f"FILE={second}", check=False)
    assert "error: the stack is running; stop it first: make docker-down" in refused

    titles = client.titles()
    project.compose("--profile", "*", "down", "--volumes")
    project.run("make", "docker-restore", f"FILE={second}")
    project.run("make", "docker-up")

    wait_until(lambda: ended.call("GET", "/api/tasks").status_code == 401, timeout=5, what="the token is refused")
    assert client.titles() == titles
    assert before <= set(titles)
    refresh = {"refresh": client.refresh}
    assert project.request("POST", "/api/auth/token/refresh", json=refresh).status_code == 200
    kept = project.execute("tasks", "sh", "-c", "ls /data")
    assert "before-" not in kept


def test_a_backup_that_fails_leaves_no_file(project: Project, tmp_path: Path) -> None:
    (tmp_path / "there").touch()

    output = project.run("make", "docker-backup", f"FILE={tmp_path / 'there'}", check=False)

    assert "exists already; name another file" in output
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
