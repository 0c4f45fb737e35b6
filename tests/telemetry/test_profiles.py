"""`make profile` draws a flame graph of a running service."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.background import repeating
from support.commands import run
from support.paths import CHECKOUT
from support.stack import LocalStack, running_stack

# Yama's setting, if the kernel has it: https://docs.kernel.org/admin-guide/LSM/Yama.html
RESTRICTED = Path("/proc/sys/kernel/yama/ptrace_scope")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with running_stack(tmp_path_factory.mktemp("state")) as running:
        yield running


def test_flame_graph_of_a_service_shows_its_functions(stack: LocalStack) -> None:
    with repeating(lambda: stack.call("GET", "/api/tasks")):
        done = run("make", "profile", "SERVICE=tasks", "SECONDS=3", env=stack.environment)

    if os.geteuid() != 0 and RESTRICTED.exists() and RESTRICTED.read_text() != "0\n":
        assert "only root may trace processes on this machine: sudo " in done.stderr
        return
    assert done.returncode == 0, done.stderr
    graph = CHECKOUT / done.stdout.splitlines()[-1].removeprefix("profile: ").partition(" ")[0]
    drawn = graph.read_text()
    graph.unlink()
    assert graph.name.startswith("tasks-")
    assert drawn.rstrip().endswith("</svg>")
    assert "servicekit/http/wsgi.py" in drawn
    assert stack.call("GET", "/readyz").status_code == 200


def test_part_that_does_not_run_is_one_line(stack: LocalStack, tmp_path: Path) -> None:
    done = run("make", "profile", "SERVICE=tasks", env=stack.environment | {"STATE_DIR": str(tmp_path)})
    assert done.returncode != 0
    assert "error: the stack is not running: make up" in done.stderr
