"""Tests of the support package where a defect would let other tests pass."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from support import processes
from support.commands import run
from support.gateway import running_gateway
from support.paths import CHECKOUT
from support.waiting import wait_until

Nginx = tuple[psutil.Process, list[psutil.Process]]


@pytest.fixture
def nginx() -> Iterator[Nginx]:
    """The master and the two workers of a running nginx."""
    with running_gateway() as gateway:
        [master] = [child for child in psutil.Process().children() if str(gateway.folder) in " ".join(child.cmdline())]
        yield master, wait_until(lambda: len(found := master.children()) == 2 and found, timeout=5)


@pytest.fixture
def left_behind() -> Callable[[], set[psutil.Process]]:
    """Return a function that returns the processes left behind since the test started, without a shared stack."""
    before = set(processes.left_behind())
    return lambda: set(processes.left_behind()) - before


LeftBehind = Callable[[], set[psutil.Process]]


def test_workers_without_a_master_are_found(left_behind: LeftBehind, nginx: Nginx) -> None:
    master, workers = nginx
    master.send_signal(signal.SIGKILL)
    master.wait()

    assert left_behind() == set(workers)
    assert all("nginx: worker process" in processes.describe(worker) for worker in workers)

    processes.kill(workers)
    assert left_behind() == set()


def test_a_server_that_replaces_its_workers_is_killed_with_all_of_them(left_behind: LeftBehind, nginx: Nginx) -> None:
    master, workers = nginx

    # Workers first: if killed one by one, they could be replaced by the master before its turn.
    processes.kill([*workers, master])

    assert left_behind() == set()


@pytest.mark.parametrize("env", [os.environ, {"STATE": "{folder}/state"}], ids=["our environment", "our folder"])
def test_a_process_that_has_left_its_group_is_found(left_behind: LeftBehind, env: dict[str, str]) -> None:
    with processes.short_folder("left") as folder:
        given = {name: value.replace("{folder}", str(folder)) for name, value in env.items()}
        sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
        process = subprocess.Popen(sleep, env=given, cwd="/", start_new_session=True)
        try:
            found = wait_until(left_behind, timeout=5)
        finally:
            process.kill()
            process.wait()
    assert [left.pid for left in found] == [process.pid]


@pytest.mark.parametrize("rest", ["sleep 20", "exit"])
def test_a_command_that_takes_too_long_ends_with_what_it_has_started(left_behind: LeftBehind, rest: str) -> None:
    with pytest.raises(AssertionError, match=r"(?s)timed out.*begun"):
        run("sh", "-c", f"echo begun; sleep 20 & {rest}", env=os.environ, timeout=0.5)
    assert left_behind() == set()


# A suite that passes but leaves a process behind.
CARELESS = """
import subprocess, sys

def test_that_passes():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
"""


def test_a_session_that_leaves_a_process_behind_fails_names_it_and_kills_it(tmp_path: Path) -> None:
    (tmp_path / "test_careless.py").write_text(CARELESS)
    env = {"PATH": os.defpath, "PYTHONPATH": str(CHECKOUT / "tests")}

    result = run(sys.executable, "-m", "pytest", "-p", "support.plugin", "test_careless.py", cwd=tmp_path, env=env)

    assert result.returncode == 1
    assert "1 passed, 1 error" in result.stdout
    [pid] = re.findall(r"^E? *(\d+) \(parent 1?\d*, group .* time.sleep\(60\)$", result.stdout, re.MULTILINE)
    assert not psutil.pid_exists(int(pid))


@pytest.mark.parametrize("condition", [lambda: None, lambda: False, list], ids=["None", "False", "empty"])
def test_waiting_fails_with_what_was_awaited(condition: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.01 s: the end"):
        wait_until(condition, timeout=0.01, what="the end")
