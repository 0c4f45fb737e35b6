"""A stack in the shell of another project: its variables, its tools, a locale that is not UTF-8, an odd path."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from support.accounts import register
from support.commands import Completed, run
from support.environment import shell
from support.http import responds
from support.paths import copy_project
from support.ports import free_port
from support.processes import short_folder
from support.stack import LocalStack

# Each of these affects Celery, Django, granian, Python, pip, uv, make or the shell.
FOREIGN = {
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "CELERY_WORKER_CONCURRENCY": "none",
    "DJANGO_SETTINGS_MODULE": "another.settings",
    "GRANIAN_WORKERS": "none",
    "PYTHONPATH": "/nowhere",
    "PYTHONSAFEPATH": "1",
    "PIP_USER": "1",
    "PIP_TARGET": "/nowhere",
    "UV_PYTHON_PREFERENCE": "only-managed",
    "UV_PYTHON": "3.9",
    "VIRTUAL_ENV": "/nowhere",
    "CDPATH": "/tmp",
    "MAKEFLAGS": "-j8 -Otarget",
    "LC_ALL": "C",
}
OLD_TOOLS = {"uv": "uv 0.4.30", "nginx": "nginx version: nginx/1.18.0", "redis-server": "Redis server v=5.0.7 sha=0:0"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user's shell with outdated tools first on its PATH."""
    tools = tmp_path_factory.mktemp("tools")
    for name, version in OLD_TOOLS.items():
        (tools / name).write_text(f"#!/bin/sh\necho '{version}'\n")
        (tools / name).chmod(0o755)
    return shell(**FOREIGN, PATH=f"{tools}:{os.environ['PATH']}")


@pytest.fixture(scope="module")
def stack(environment: dict[str, str]) -> Iterator[LocalStack]:
    """A stack whose state is in the var/ of its own checkout."""
    with short_folder("stack") as folder:
        checkout = folder / "5$x y"
        copy_project(checkout)
        env = environment | {"GATEWAY_PORT": str(free_port())}
        stack = LocalStack(checkout / "var", env=env, checkout=checkout)
        try:
            yield stack.wait_until_ready()
            stack.stop()
        finally:
            stack.end()


def make(stack: LocalStack, command: str, environment: dict[str, str]) -> Completed:
    """Run a command line in the stack's checkout, in a shell without the stack's port."""
    return run("bash", "-c", command, env=environment, cwd=stack.checkout)


def test_everything_responds(stack: LocalStack) -> None:
    assert all(responds(f"{stack.url}{path}") for path in ("/readyz", "/", "/api/docs", "/api/openapi.json"))


def test_no_process_has_a_variable_of_the_shell(stack: LocalStack) -> None:
    supervisor = psutil.Process(int((stack.state / "run/supervisor.pid").read_text()))
    # nginx overwrites the memory that shows its environment.
    parts = [process for process in supervisor.children() if process.name() != "nginx"]

    assert len(parts) >= 6
    for process in (supervisor, *parts):
        assert not set(process.environ()) & (FOREIGN.keys() - {"LC_ALL"})


def test_state_is_its_owners_alone(stack: LocalStack) -> None:
    assert stat.S_IMODE(stack.state.stat().st_mode) == 0o700
    assert stat.S_IMODE((stack.state / "db.sqlite3").stat().st_mode) == 0o600


def test_any_title_is_printed_and_a_closed_pipe_ends_the_command_quietly(
    stack: LocalStack, environment: dict[str, str]
) -> None:
    token = register(stack, "zoe").access
    task = {"title": "Büro 🙂 日本", "duration": 5}
    requests.post(f"{stack.url}/api/tasks", json=task, headers={"Authorization": f"Bearer {token}"}, timeout=30)

    result = make(stack, "make show-tasks | head -2; exit ${PIPESTATUS[0]}", environment)

    assert (result.returncode, result.stderr) == (0, "")
    assert "Büro 🙂 日本" in result.stdout


def test_demo_uses_the_stack_of_its_checkout(stack: LocalStack, environment: dict[str, str]) -> None:
    result = make(stack, "make demo | head -3; exit ${PIPESTATUS[0]}", environment)

    assert (result.returncode, result.stderr) == (0, "")
    assert f"curl -sS http://localhost:{stack.port}/readyz" in result.stdout


def test_running_stack_is_not_deleted(stack: LocalStack, environment: dict[str, str]) -> None:
    result = make(stack, "make clean", environment)

    assert result.returncode != 0
    assert result.stderr.startswith("error: the stack is running from var/; stop it first\n")
    assert (stack.state / "db.sqlite3").exists()


def test_second_start_is_refused(stack: LocalStack, environment: dict[str, str]) -> None:
    result = make(stack, "make up", environment | {"GATEWAY_PORT": str(stack.port)})

    assert result.returncode != 0
    assert result.stderr.startswith(
        f"error: the stack is already running in {stack.state}; stop it, or set STATE_DIR\n"
    )


def test_installers_get_listed_variables_alone(tmp_path: Path, environment: dict[str, str]) -> None:
    copy_project(tmp_path)
    index = {"UV_DEFAULT_INDEX": "https://packages.example.org/simple"}
    command = ("make", "--dry-run", "--what-if=tests/requirements.txt", "var/env/tests/.ready")

    result = run(*command, env=environment | index | {"MAKEFLAGS": ""}, cwd=tmp_path)

    (install,) = [line for line in result.stdout.splitlines() if " pip install --quiet --compile-bytecode " in line]
    assert install.startswith("env -i PATH=")
    assert " var/env/uv/bin/uv pip install " in install
    assert ' UV_DEFAULT_INDEX="$UV_DEFAULT_INDEX" ' in install
    assert not [name for name in FOREIGN if f"{name}=" in install and name != "LC_ALL"]
