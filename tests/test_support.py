"""The parts of the support package whose failure would let other tests pass."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from support import processes
from support.gateway import Gateway, running_gateway
from support.waiting import wait_until


@pytest.fixture
def nginx() -> Iterator[tuple[psutil.Process, list[psutil.Process]]]:
    """A running nginx: its master, and its workers."""
    with running_gateway() as gateway:
        yield master_of(gateway)


def master_of(gateway: Gateway) -> tuple[psutil.Process, list[psutil.Process]]:
    """Return the gateway's master, and its workers once it has two."""
    [master] = [child for child in psutil.Process().children() if str(gateway.folder) in " ".join(child.cmdline())]
    return master, wait_until(lambda: len(found := master.children()) == 2 and found, timeout=5)


Nginx = tuple[psutil.Process, list[psutil.Process]]


def test_workers_without_a_master_are_found(nginx: Nginx) -> None:
    master, workers = nginx
    master.send_signal(signal.SIGKILL)
    master.wait()

    assert set(processes.left_behind()) == set(workers)
    assert all("nginx: worker process" in processes.describe(worker) for worker in workers)

    processes.kill(workers)
    assert processes.left_behind() == []


def test_a_server_that_replaces_its_workers_is_killed_with_all_of_them(nginx: Nginx) -> None:
    master, workers = nginx

    # The workers first: killed one by one, the master would have replaced them before its turn came.
    processes.kill([*workers, master])

    assert processes.left_behind() == []


@pytest.mark.parametrize("env", [os.environ, {"STATE": "{folder}/state"}], ids=["our environment", "our folder"])
def test_a_process_that_has_left_its_group_is_found(env: dict[str, str]) -> None:
    with processes.short_folder("left") as folder:
        given = {name: value.replace("{folder}", str(folder)) for name, value in env.items()}
        sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
        process = subprocess.Popen(sleep, env=given, cwd="/", start_new_session=True)
        try:
            found = wait_until(processes.left_behind, timeout=5)
        finally:
            process.kill()
            process.wait()
    assert [left.pid for left in found] == [process.pid]


@pytest.mark.parametrize("condition", [lambda: None, lambda: False, list], ids=["None", "False", "empty"])
def test_waiting_fails_with_what_was_awaited(condition: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.01 s: the end"):
        wait_until(condition, timeout=0.01, what="the end")
