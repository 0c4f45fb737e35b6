"""`make profile` draws what a service does while it serves."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.commands import run
from support.paths import CHECKOUT
from support.stack import LocalStack, running_stack

# Yama's setting, where the kernel has it: https://docs.kernel.org/admin-guide/LSM/Yama.html
RESTRICTED = Path("/proc/sys/kernel/yama/ptrace_scope")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with running_stack(tmp_path_factory.mktemp("state")) as running:
        yield running


@contextmanager
def requests_to(stack: LocalStack, path: str) -> Iterator[None]:
    """Send requests one after the other while the block runs."""
    ended = threading.Event()

    def send() -> None:
        while not ended.is_set():
            stack.call("GET", path)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_flame_graph_of_a_service_shows_its_functions(stack: LocalStack) -> None:
    with requests_to(stack, "/api/tasks"):
        done = run("make", "profile", "SERVICE=tasks", "SECONDS=3", env=stack.environment)

    if "lets only root look into processes" in done.stderr:
        assert RESTRICTED.read_text() != "0\n"
        pytest.skip("this machine lets only root look into processes")
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
