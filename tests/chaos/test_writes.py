"""2,000 writes while the parts of a stack are killed and frozen at random: none is lost, doubled or out of order.

CHAOS_SECONDS sets the duration (a soak test may take hours) at the same rate of writes. CHAOS_SEED repeats the order of
faults of an earlier run, which prints its seed.
"""

import contextlib
import os
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest
import requests

from support.http import responds
from support.receiver import Receiver, receiving
from support.stack import LocalStack, running_stack
from support.tokens import make_token
from support.waiting import wait_until

SECONDS = float(os.environ.get("CHAOS_SECONDS", "50"))
WRITES = round(2000 * SECONDS / 50)
SEED = os.environ.get("CHAOS_SEED") or str(random.randrange(10**6))
WRITERS = 8
USERS = 4
# The ranges, in seconds, of the pauses between faults and of the freezes.
PAUSES = (0.2, 1.2)
FREEZES = (0.5, 3.0)
# The supervisor's restart delay grows for a part that exits sooner than this.
SETTLED_SECONDS = 5.0
# A killed worker's claim expires after 20 s; failed attempts are retried after 5 s and 30 s.
DRAINED_WITHIN_SECONDS = 100


@dataclass
class Ledger:
    """The clients' view: the writes that they sent, and those that were acknowledged."""

    attempted: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    # Attempts that got no response, or one that asks for a retry.
    repeated: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Writer(threading.Thread):
    """A client that creates tasks with idempotency keys, renames and deletes some, and retries failed requests."""

    def __init__(self, stack: LocalStack, ledger: Ledger, numbers: range, *, seconds: float) -> None:
        super().__init__()
        self._url = stack.url
        self._secret = stack.secret
        self._ledger = ledger
        self._numbers = numbers
        self._seconds = seconds
        self.error: BaseException | None = None

    def run(self) -> None:
        started = time.monotonic()
        try:
            for done, number in enumerate(self._numbers):
                self._write(number)
                ahead = started + self._seconds * (done + 1) / len(self._numbers) - time.monotonic()
                time.sleep(max(ahead, 0))
        # For the test, which runs in another thread.
        except BaseException as error:  # noqa: BLE001
            self.error = error

    def _write(self, number: int) -> None:
        user, title = number % USERS + 1, f"write-{number}"
        with self._ledger.lock:
            self._ledger.attempted.add(title)
        body = {"title": title, "duration": 5}
        created = self._repeat("POST", "/api/tasks", user=user, json=body, headers={"Idempotency-Key": title})
        with self._ledger.lock:
            self._ledger.acknowledged.add(title)
        path = f"/api/tasks/{created.json()['id']}"
        if number % 5 == 0:
            self._repeat("PATCH", path, user=user, json={"title": f"{title} renamed"})
        if number % 10 == 0:
            self._repeat("DELETE", path, user=user)

    def _repeat(self, method: str, path: str, *, user: int, headers: Any = None, **arguments: Any) -> requests.Response:
        """Send the request until it succeeds; a 404 means that an earlier DELETE took effect."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            token = {"Authorization": f"Bearer {make_token(self._secret, user_id=str(user))}"}
            outcome = ""
            try:
                response = requests.request(
                    method, self._url + path, headers={**token, **(headers or {})}, timeout=5, **arguments
                )
                if response.ok or (method == "DELETE" and response.status_code == 404):
                    return response
                outcome = str(response.status_code)
                assert response.status_code in (409, 429, 500, 502, 503, 504), response.text
            except requests.RequestException as error:
                outcome = type(error).__name__
            with self._ledger.lock:
                self._ledger.repeated[outcome] += 1
            time.sleep(random.uniform(0.1, 0.5))
        raise AssertionError(f"{method} {path} did not succeed in time: {self._ledger.repeated}")


class Chaos(threading.Thread):
    """Kills and freezes parts one after the other, in an order determined by the seed."""

    def __init__(self, stack: LocalStack, *, seed: str) -> None:
        super().__init__()
        self._stack = stack
        self._random = random.Random(seed)
        self._end = threading.Event()
        self.done: Counter[str] = Counter()

    def run(self) -> None:
        faults = [
            *(("kill", name) for name in ("worker", "sender", "beat", "relay", "redis", "tasks", "scheduler")),
            *(("kill a child of", name) for name in ("worker", "sender", "sender", "tasks", "tasks")),
            *(("freeze", name) for name in ("sender", "relay", "beat", "redis")),
            *(("freeze a child of", name) for name in ("worker", "sender", "tasks")),
        ]
        while not self._end.is_set():
            self._random.shuffle(faults)
            for kind, name in faults:
                if self._end.wait(self._random.uniform(*PAUSES)):
                    return
                with contextlib.suppress(psutil.NoSuchProcess):
                    if self._do(kind, name):
                        self.done[f"{kind} {name}"] += 1

    def stop(self) -> None:
        self._end.set()
        self.join()

    def _do(self, kind: str, name: str) -> bool:
        victim = self._stack.main_process(name)
        if victim is None or time.time() - victim.create_time() < SETTLED_SECONDS:
            return False
        if "child" in kind:
            children = victim.children()
            if not children:
                return False
            victim = self._random.choice(children)
        if kind.startswith("kill"):
            victim.kill()
            return True
        victim.suspend()
        try:
            time.sleep(self._random.uniform(*FREEZES))
        finally:
            victim.resume()
        return True


@dataclass(frozen=True)
class Event:
    """A row of the log of events."""

    uuid: str
    type: str
    task_id: int
    title: str


def events(stack: LocalStack) -> list[Event]:
    with contextlib.closing(sqlite3.connect(f"file:{stack.state}/db.sqlite3?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT uuid, type, task_id, title FROM tasks_event ORDER BY id").fetchall()
    return [Event(*row) for row in rows]


def undelivered(stack: LocalStack, receiver: Receiver) -> list[Event]:
    arrived = {message.id for message in list(receiver.messages)}
    return [event for event in events(stack) if event.uuid not in arrived]


def out_of_order(log: list[Event], receiver: Receiver) -> list[int]:
    """Return the tasks whose events first arrived in a different order from the log's."""
    happened: dict[int, list[str]] = {}
    for event in log:
        happened.setdefault(event.task_id, []).append(event.uuid)
    arrived: dict[int, list[str]] = {}
    for message in receiver.messages:
        ids = arrived.setdefault(message.data["id"], [])
        if message.id not in ids:
            ids.append(message.id)
    return [task_id for task_id, ids in happened.items() if arrived.get(task_id) != ids]


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with running_stack(tmp_path_factory.mktemp("state"), LOG_LEVEL="WARNING") as stack:
        yield stack


@pytest.fixture
def receiver(stack: LocalStack) -> Iterator[Receiver]:
    """A receiver of all events of the users' tasks."""
    with receiving() as receiver:
        for user in range(1, USERS + 1):
            response = stack.call(
                "POST",
                "/api/webhooks",
                token=make_token(stack.secret, user_id=str(user)),
                json={"url": receiver.url, "events": ["task.created", "task.renamed", "task.deleted"]},
            )
            receiver.secrets.append(response.json()["secret"])
        yield receiver


def run_writers(stack: LocalStack, ledger: Ledger) -> None:
    writers = [Writer(stack, ledger, range(first, WRITES, WRITERS), seconds=SECONDS) for first in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.error for writer in writers if writer.error] == []


def seconds(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


# The suite's time limit would interrupt a soak test.
@pytest.mark.timeout(600 + SECONDS)
def test_no_write_is_lost_doubled_or_delivered_out_of_order(stack: LocalStack, receiver: Receiver) -> None:
    ledger, chaos = Ledger(), Chaos(stack, seed=SEED)
    chaos.start()
    try:
        writing = seconds(lambda: run_writers(stack, ledger))
    finally:
        chaos.stop()
    wait_until(lambda: responds(f"{stack.url}/readyz"), timeout=60, what="the stack is ready")
    draining = seconds(
        lambda: wait_until(
            lambda: not undelivered(stack, receiver),
            timeout=DRAINED_WITHIN_SECONDS,
            interval=0.5,
            what=lambda: f"everything is delivered, but for {len(undelivered(stack, receiver))} events; seed {SEED}",
        )
    )

    log = events(stack)
    created = Counter(event.title for event in log if event.type == "task.created")
    lost = ledger.acknowledged - set(created)
    doubled = {title for title, count in created.items() if count > 1}
    disordered = out_of_order(log, receiver)
    again = len(receiver.messages) - len({message.id for message in receiver.messages})
    print(
        f"\nseed {SEED}; {sum(chaos.done.values())} faults in {writing:.0f} s, delivered {draining:.0f} s later\n"
        f"faults: {dict(sorted(chaos.done.items()))}\n"
        f"requests sent again: {dict(ledger.repeated)}\n"
        "| attempted | acknowledged | stored | events | delivered | lost | doubled | out of order | sent again |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
        f"| {len(ledger.attempted)} | {len(ledger.acknowledged)} | {created.total()} | {len(log)}"
        f" | {len({message.id for message in receiver.messages})} | {len(lost)} | {len(doubled)}"
        f" | {len(disordered)} | {again} |"
    )
    assert len(ledger.attempted) == len(ledger.acknowledged) == WRITES
    assert (lost, doubled, disordered) == (set(), set(), [])
    assert set(created) == ledger.attempted
    assert receiver.refused == []
    # Enough faults were injected.
    assert sum(chaos.done.values()) >= SECONDS / 4
