"""Event ids are assigned before their transactions commit; no event is skipped, and those of a task stay in order."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.commands import launcher, program
from support.environment import inherited
from support.paths import CHECKOUT
from support.sqlserver import DRIVERS, Server


class Program:
    """A program that replies to each line with a line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def send(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        reply = self._process.stdout.readline().strip()
        assert reply, "the program has exited"
        return reply


@contextmanager
def running(service: str, name: str, url: str) -> Iterator[Program]:
    command = launcher("run", service, "python", *program(name))
    env = {**inherited(), "DATABASE_URL": url, "LOG_LEVEL": "ERROR"}
    with subprocess.Popen(
        command, cwd=CHECKOUT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Program(process)
        assert process.stdin is not None
        process.stdin.close()


class Log:
    """A writer whose transactions stay open as long as a test needs, and a reader."""

    def __init__(self, writer: Program, reader: Program) -> None:
        self.send = writer.send
        self._reader = reader

    def create(self, name: str) -> int:
        return int(self.send(f"create {name}"))

    def relay(self) -> dict[str, Any]:
        relayed: dict[str, Any] = json.loads(self._reader.send("relay"))
        return relayed


@pytest.fixture(params=DRIVERS, scope="module")
def log(server: Server, request: pytest.FixtureRequest) -> Iterator[Log]:
    url = f"{server.create(migrate=('tasks', 'scheduler'))}&python_driver={request.param}"
    with (
        running("tasks", "tasks/write_on_request", url) as writer,
        running("scheduler", "scheduler/relay_on_request", url) as reader,
    ):
        yield Log(writer, reader)


def test_events_of_open_transactions_come_late_and_hold_up_nobody(log: Log) -> None:
    first, second, third = log.create("a"), log.create("b"), log.create("c")
    assert log.relay()["delivered"] == []

    log.send("commit c")
    assert log.relay() == {"delivered": [[third, "task.created"]], "gaps": 1}

    log.send("commit a")
    assert log.relay() == {"delivered": [[first, "task.created"]], "gaps": 1}

    log.send("commit b")
    assert log.relay() == {"delivered": [[second, "task.created"]], "gaps": 0}
    assert log.relay() == {"delivered": [], "gaps": 0}


def test_writer_that_stalls_for_five_seconds_loses_nothing(log: Log) -> None:
    stalled = log.create("stalled")
    others = []
    until = time.monotonic() + 5
    while time.monotonic() < until:
        others.append(log.create("other"))
        log.send("commit other")
        assert log.relay()["delivered"] == [[others[-1], "task.created"]]
    assert len(others) > 1
    log.send("commit stalled")
    assert log.relay() == {"delivered": [[stalled, "task.created"]], "gaps": 0}


def test_events_of_a_task_keep_their_order_beside_an_open_transaction(log: Log) -> None:
    open_one, task = log.create("open"), log.create("task")
    log.send("commit task")
    log.send(f"rename {task}")
    log.send("commit open")
    log.send(f"rename {open_one}")
    delivered = log.relay()["delivered"]
    for one in (open_one, task):
        assert [kind for task_id, kind in delivered if task_id == one] == ["task.created", "task.renamed"]


# Placed last: the gap stays for an hour.
def test_event_that_was_rolled_back_is_a_gap_and_no_more(log: Log) -> None:
    log.create("never")
    kept = log.create("kept")
    log.send("rollback never")
    log.send("commit kept")
    assert log.relay() == {"delivered": [[kept, "task.created"]], "gaps": 1}
    assert log.relay() == {"delivered": [], "gaps": 1}
