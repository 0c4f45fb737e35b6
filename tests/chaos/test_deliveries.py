"""Latency and throughput of webhook deliveries, also while ten receivers hang, and the sender's memory.

CHAOS_DELIVERIES is the number of deliveries after which the memory is measured.
"""

import contextlib
import os
import sqlite3
import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from support.receiver import Receiver, receiving
from support.stack import LocalStack, running_stack
from support.tokens import make_token
from support.waiting import wait_until

EVENTS_A_SECOND = 20
SECONDS = 8
MEDIAN_WITHIN_SECONDS = 1.5
P99_WITHIN_SECONDS = 4.0
# The additional delay that hanging receivers may cause.
DELAY_WITHIN_SECONDS = 2.0
BURST = int(os.environ.get("CHAOS_DELIVERIES", "3000"))
DELIVERIES_A_SECOND = 100
GROWTH_MB = 20.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with running_stack(tmp_path_factory.mktemp("state"), LOG_LEVEL="WARNING") as stack:
        yield stack


class User:
    """A user with a webhook to a receiver."""

    def __init__(self, stack: LocalStack, user_id: int, receiver: Receiver) -> None:
        self._stack = stack
        self.id = user_id
        self.receiver = receiver
        body = {"url": receiver.url, "events": ["task.created", "task.renamed", "task.deleted"]}
        response = stack.call("POST", "/api/webhooks", token=self.token, json=body)
        assert response.status_code == 201, response.text
        receiver.secrets.append(response.json()["secret"])

    @property
    def token(self) -> str:
        return make_token(self._stack.secret, user_id=str(self.id))

    def write(self) -> dict[int, float]:
        """Create EVENTS_A_SECOND tasks for SECONDS; return the time of each acknowledgement."""
        acknowledged: dict[int, float] = {}
        started = time.monotonic()
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {self.token}"
            for number in range(EVENTS_A_SECOND * SECONDS):
                time.sleep(max(0, started + number / EVENTS_A_SECOND - time.monotonic()))
                body = {"title": "Task", "duration": 5}
                response = session.post(f"{self._stack.url}/api/tasks", json=body, timeout=30)
                assert response.status_code == 201, response.text
                acknowledged[response.json()["id"]] = time.time()
        return acknowledged

    def latencies(self) -> list[float]:
        """Return the seconds from each task's acknowledgement to its delivery, in ascending order."""
        acknowledged = self.write()
        wait_until(lambda: set(acknowledged) <= self._arrived().keys(), timeout=30, what="everything has arrived")
        arrived = self._arrived()
        return sorted(arrived[task_id] - at for task_id, at in acknowledged.items())

    def _arrived(self) -> dict[int, float]:
        return {message.data["id"]: message.at for message in list(self.receiver.messages)}


def percentile(values: list[float], share: float) -> float:
    return values[int(share * (len(values) - 1))]


def describe(name: str, values: list[float]) -> None:
    print(
        f"{name}: median {statistics.median(values):.2f} s, p99 {percentile(values, 0.99):.2f} s,"
        f" at most {values[-1]:.2f} s"
    )


def append_events(stack: LocalStack, *, owner_id: int, count: int) -> None:
    """Append the events of ``count`` new tasks to the log, in one transaction."""
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    rows: Iterator[tuple[Any, ...]] = (
        (uuid.uuid4().hex, owner_id, 10**9 + number, now, now, now) for number in range(count)
    )
    with contextlib.closing(sqlite3.connect(stack.state / "db.sqlite3", timeout=30)) as database, database:
        database.executemany(
            "INSERT INTO tasks_event (uuid, type, owner_id, task_id, version, title, duration, task_created_at,"
            " task_updated_at, request_id, created_at) VALUES (?, 'task.created', ?, ?, 1, 'Task', 5, ?, ?, '', ?)",
            rows,
        )


def memory_mb(stack: LocalStack) -> float:
    """Return the memory of the sender's largest process."""
    sender = stack.main_process("sender")
    assert sender is not None
    return max(float(process.memory_info().rss) for process in [sender, *sender.children()]) / 1e6


def test_deliveries_are_soon_also_while_ten_receivers_hang(stack: LocalStack) -> None:
    with receiving() as receiver, contextlib.ExitStack() as others:
        user = User(stack, 1, receiver)
        user.latencies()  # Warms up the processes.
        quiet = user.latencies()
        describe("quiet", quiet)
        assert statistics.median(quiet) <= MEDIAN_WITHIN_SECONDS
        assert percentile(quiet, 0.99) <= P99_WITHIN_SECONDS

        hanging = [User(stack, 2, others.enter_context(receiving())) for _ in range(10)]
        for other in hanging:
            other.receiver.may_respond.clear()
        writer = threading.Thread(target=hanging[0].write)
        writer.start()
        busy = user.latencies()
        writer.join()
        describe("with ten that hang", busy)
        assert all(other.receiver.messages for other in hanging)
        assert percentile(busy, 0.99) - percentile(quiet, 0.99) <= DELAY_WITHIN_SECONDS
        for other in hanging:
            other.receiver.may_respond.set()


# The suite's time limit would interrupt a long burst.
@pytest.mark.timeout(600 + BURST / 50)
def test_throughput_and_memory(stack: LocalStack) -> None:
    with receiving() as receiver:
        user = User(stack, 3, receiver)
        append_events(stack, owner_id=user.id, count=500)
        wait_until(lambda: len(receiver.messages) >= 500, timeout=60, what="the first deliveries have arrived")
        before = memory_mb(stack)
        append_events(stack, owner_id=user.id, count=BURST)
        wait_until(lambda: len(receiver.messages) >= 500 + BURST, timeout=60 + BURST / 50, what="the burst has arrived")
        took = receiver.messages[-1].at - receiver.messages[500].at
        after = memory_mb(stack)
        print(f"{BURST / took:.0f} deliveries a second; memory {before:.0f} MB before, {after:.0f} MB after them")
        assert BURST / took >= DELIVERIES_A_SECOND
        assert after - before <= GROWTH_MB
        assert len({message.id for message in receiver.messages}) == 500 + BURST
