"""`make backup` of a stack in use, `make restore` into an empty one: nothing is lost, and ended sessions stay ended."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.accounts import PASSWORD, log_in, register
from support.background import repeating
from support.commands import Completed, output_of, run, run_launcher
from support.environment import for_stack, shell
from support.jobs import request_run
from support.paths import CHECKOUT
from support.ports import free_port
from support.processes import short_folder
from support.stack import LocalStack
from support.waiting import wait_until

from .conftest import Start

# Tables in which a stack has rows after a few seconds.
FILLED = {
    *(
        "accounts_user",
        "accounts_session",
        "accounts_endedsession",
        "tasks_task",
        "tasks_event",
        "tasks_idempotencykey",
    ),
    *("jobs_run", "webhooks_endpoint", "webhooks_delivery", "django_migrations"),
}
ANNOUNCED_WITHIN_SECONDS = 5


def rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as opened:
        tables = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(opened.execute(f"SELECT * FROM {name}"), key=repr) for name in tables}


def make(command: str, file: Path | None = None, *, env: dict[str, str]) -> Completed:
    return run("make", command, *([f"FILE={file}"] if file else []), env=env)


def refused(result: Completed) -> str:
    assert (result.returncode != 0, result.stdout) == (True, ""), result
    line: str = result.stderr.splitlines()[0]
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.fixture
def states() -> Iterator[tuple[Path, Path]]:
    """Two state folders, deleted once no stack uses them."""
    with short_folder("old") as old, short_folder("new") as new:
        yield old, new


@contextmanager
def writing(stack: LocalStack, token: str) -> Iterator[list[str]]:
    """Create tasks while the block runs; yield the list of acknowledged titles, which grows meanwhile."""
    acknowledged: list[str] = []

    def write() -> None:
        title = f"written meanwhile {len(acknowledged)}"
        if stack.call("POST", "/api/tasks", token=token, json={"title": title, "duration": 1}).ok:
            acknowledged.append(title)

    with repeating(write):
        yield acknowledged


def use_everything(stack: LocalStack) -> dict[str, Any]:
    """Create rows in all tables of FILLED; return the tokens of a live and of an ended session, and a staff token."""
    staff = {"DJANGO_SUPERUSER_USERNAME": "chief", "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    create = ("run", "auth", "python", "manage.py", "createsuperuser", "--noinput")
    output_of(run_launcher(*create, env=stack.environment | staff))
    chief = log_in(stack, "chief")["access"]
    request_run(stack, "report-user-tasks", token=chief)
    account = register(stack, "grace")
    # Nothing listens on this port, so the delivery waits for its next attempt.
    webhook = {"url": f"http://127.0.0.1:{free_port()}/hook", "events": ["task.created"]}
    assert stack.call("POST", "/api/webhooks", token=account.access, json=webhook).status_code == 201
    for number in range(3):
        task = stack.call(
            "POST",
            "/api/tasks",
            token=account.access,
            json={"title": f"Task {number}", "duration": 5},
            headers={"Idempotency-Key": f"key-{number}"},
        )
        assert task.status_code == 201
    stack.call("DELETE", task.headers["Location"], token=account.access)
    ended = log_in(stack, "grace")
    assert stack.call("POST", "/api/auth/logout", json={"refresh": ended["refresh"]}).status_code == 204
    database = stack.state / "db.sqlite3"
    wait_until(lambda: all(rows(database)[table] for table in FILLED), timeout=30, what="every table has rows")
    return {"live": log_in(stack, "grace"), "ended": ended, "chief": chief}


@pytest.mark.sqlite
def test_a_backup_under_writes_restored_into_an_empty_stack(
    states: tuple[Path, Path], start: Start, tmp_path: Path
) -> None:
    backup = tmp_path / "a backup.sqlite3"
    old_state, new_state = states
    old_env = for_stack(state=old_state, port=free_port(), secret="s" * 48)
    old = start(terminal=False, **old_env).wait_until_ready()
    tokens = use_everything(old)
    live = tokens["live"]["access"]
    with writing(old, live) as acknowledged:
        wait_until(lambda: len(acknowledged) > 10, timeout=10)
        before = len(acknowledged)
        output = output_of(make("backup", backup, env=old_env))
        during = len(acknowledged) - before
        wait_until(lambda: len(acknowledged) > before + during, timeout=10)
    assert f"backup: {backup} (" in output
    assert backup.stat().st_mode & 0o777 == 0o600
    old_list = old.all_tasks(token=live)
    old.stop()

    # Another state folder and an empty Redis; the same secrets.
    new_env = old_env | {
        "STATE_DIR": str(new_state),
        "DATABASE_URL": f"sqlite:///{new_state}/db.sqlite3",
        "REDIS_URL": f"unix://{new_state}/run/redis.sock",
        "GATEWAY_PORT": str(free_port()),
    }
    output_of(make("restore", backup, env=new_env))
    saved = rows(backup)
    assert rows(new_state / "db.sqlite3") == saved
    assert all(saved[table] for table in FILLED)
    print({table: len(saved[table]) for table in sorted(FILLED)}, f"{during} tasks were created during the backup")

    new = start(terminal=False, **new_env).wait_until_ready()
    ended = tokens["ended"]
    wait_until(
        lambda: new.call("GET", "/api/tasks", token=ended["access"]).status_code == 401,
        timeout=ANNOUNCED_WITHIN_SECONDS,
        what="the ended session is announced",
    )
    assert new.call("POST", "/api/auth/token/refresh", json={"refresh": ended["refresh"]}).status_code == 401
    tasks = new.all_tasks(token=live)
    titles = [task["title"] for task in tasks]
    # Newest first: all tasks acknowledged before the backup, plus the earliest of the later ones.
    assert set(acknowledged[:before]) <= set(titles)
    assert tasks == old_list[len(old_list) - len(tasks) :]
    sessions = new.call("GET", "/api/auth/sessions", token=live).json()
    (user_id,) = (row[1] for row in saved["accounts_user"] if "grace" in row)
    assert len(sessions) == len([row for row in saved["accounts_session"] if row[-1] == user_id])
    assert new.call("GET", "/api/jobs/runs", token=tokens["chief"]).json()
    assert new.call("POST", "/api/auth/token/refresh", json={"refresh": tokens["live"]["refresh"]}).status_code == 200


@pytest.mark.sqlite
def test_a_restore_beside_a_running_stack_is_refused(states: tuple[Path, Path], start: Start, tmp_path: Path) -> None:
    state, _ = states
    env = for_stack(state=state, port=free_port(), secret="s" * 48)
    stack = start(terminal=False, **env).wait_until_ready()
    account = register(stack, "grace")
    output_of(make("backup", tmp_path / "backup", env=env))

    same = make("restore", tmp_path / "backup", env=env)
    # To the launcher, this is a stack in another folder.
    other = make("restore", tmp_path / "backup", env=env | {"STATE_DIR": str(tmp_path / "other")})

    assert refused(same) == f"the stack is already running in {state}; stop it, or set STATE_DIR"
    assert refused(other) == f"{state}/db.sqlite3 is in use; stop everything that uses it"
    assert stack.call("GET", "/api/auth/me", token=account.access).status_code == 200
    stack.stop()
    output = output_of(make("restore", tmp_path / "backup", env=env))

    [previous] = state.glob("db.sqlite3.before-*")
    assert output.splitlines() == [f"restored: {state}/db.sqlite3", f"the previous file is kept: {previous}"]


@pytest.mark.sqlite
def test_what_has_no_name_is_a_new_file_in_backups(checkout: Path, tmp_path: Path) -> None:
    env = shell(STATE_DIR=str(tmp_path / "state"))
    output_of(
        run_launcher("run", "tasks", "python", "manage.py", "migrate", "--verbosity", "0", env=env, checkout=checkout)
    )

    output_of(run_launcher("backup", env=env, checkout=checkout))

    [backup] = (checkout / "backups").iterdir()
    assert backup.suffix == ".sqlite3"
    assert (checkout / "backups").stat().st_mode & 0o777 == 0o700
    assert refused(run_launcher("restore", env=env, checkout=checkout)).startswith("FILE: name the backup to restore")


@pytest.mark.sqlite
def test_a_failed_backup_says_why_in_one_line(tmp_path: Path) -> None:
    env = shell(STATE_DIR=str(tmp_path / "state"))
    reason = "cannot be copied: unable to open database file"
    assert refused(make("backup", tmp_path / "backup", env=env)) == f"{tmp_path}/state/db.sqlite3 {reason}"
    assert not (tmp_path / "backup").exists()


def test_files_of_backups_are_never_committed() -> None:
    assert "/backups/\n" in (CHECKOUT / ".gitignore").read_text()
