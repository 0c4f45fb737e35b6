"""How `make admin` stops its server, here a stand-in; tests/e2e/test_admin.py tests the admin itself."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial

import psutil
import pytest

from support.commands import program
from support.paths import CHECKOUT, python

Start = Callable[..., tuple[psutil.Popen, psutil.Process]]


@pytest.fixture
def start() -> Iterator[Start]:
    family: list[psutil.Process] = []

    def starter(manner: str, *, ignore: int | None = None) -> tuple[psutil.Popen, psutil.Process]:
        parent = psutil.Popen(
            [python("local"), *program("launcher/serve_in_admins_place"), program(f"launcher/{manner}_server")[1]],
            cwd=CHECKOUT,
            env=os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=partial(signal.signal, ignore, signal.SIG_IGN) if ignore else None,
        )
        family.append(parent)
        assert parent.stdout.readline() == "up\n"
        [child] = parent.children()
        family.append(child)
        return parent, child

    yield starter
    for process in family:
        if process.is_running():
            process.kill()
    for process in family[::2]:
        process.wait()
        process.stdout.close()


def test_second_ctrl_c_ends_a_server_that_does_not_stop(start: Start) -> None:
    parent, child = start("stubborn")

    parent.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert child.is_running()
    parent.send_signal(signal.SIGINT)

    assert psutil.wait_procs([parent, child], timeout=5)[1] == []


def test_signal_that_make_passes_on_is_not_a_second_one(start: Start) -> None:
    parent, child = start("stubborn")

    for _ in range(2):
        parent.send_signal(signal.SIGTERM)
        time.sleep(0.5)

    assert child.is_running()


def test_what_nohup_ignores_stays_ignored(start: Start) -> None:
    parent, child = start("willing", ignore=signal.SIGHUP)

    parent.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert child.is_running()
    parent.send_signal(signal.SIGTERM)

    assert psutil.wait_procs([parent, child], timeout=5)[1] == []
