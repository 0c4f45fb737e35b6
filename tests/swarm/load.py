"""Clients that continuously read and write through the nodes' addresses, and their results."""

import dataclasses
import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import requests

PAUSE_SECONDS = 0.02


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A request: when it was sent, how long it took (both in seconds), and its status, 0 without a response."""

    at: float
    took: float
    status: int


@dataclasses.dataclass
class Load:
    """The results of the clients."""

    gets: list[Outcome] = dataclasses.field(default_factory=list)
    posts: list[Outcome] = dataclasses.field(default_factory=list)
    # Titles acknowledged by a 201, after any number of attempts with the same key.
    acknowledged: list[str] = dataclasses.field(default_factory=list)

    def failed_gets(self, *, since: float = 0) -> list[Outcome]:
        return [get for get in self.gets if get.status != 200 and get.at >= since]

    def __str__(self) -> str:
        def summary(outcomes: list[Outcome]) -> str:
            slowest = max((outcome.took for outcome in outcomes), default=0)
            statuses = dict(Counter(outcome.status for outcome in outcomes))
            return f"{len(outcomes)} {statuses}, slowest {slowest:.2f} s"

        return f"GET {summary(self.gets)}; POST {summary(self.posts)}; {len(self.acknowledged)} acknowledged"


def send(method: str, url: str, outcomes: list[Outcome], **arguments: object) -> int:
    """Send a request over a new connection; return its status, 0 without a response."""
    at = time.monotonic()
    try:
        status = requests.request(method, url, timeout=20, **arguments).status_code  # type: ignore[arg-type]
    except requests.RequestException:
        status = 0
    outcomes.append(Outcome(at, time.monotonic() - at, status))
    return status


@contextmanager
def load(urls: list[str], headers: dict[str, str]) -> Iterator[Load]:
    """While the block runs, read through each address, and write through all of them in turn."""
    load, stop = Load(), threading.Event()

    def read(url: str) -> None:
        while not stop.wait(PAUSE_SECONDS):
            send("GET", f"{url}/api/tasks", load.gets, headers=headers)

    def write() -> None:
        addresses = itertools.cycle(urls)
        while not stop.wait(PAUSE_SECONDS):
            create(addresses)

    def create(addresses: Iterator[str]) -> None:
        """Create a task, retrying with the same key at the next address, as a client does."""
        title = uuid.uuid4().hex
        for url in itertools.islice(addresses, 60):
            key = {"Idempotency-Key": title}
            body = {"title": title, "duration": 1}
            if send("POST", f"{url}/api/tasks", load.posts, headers=headers | key, json=body) == 201:
                load.acknowledged.append(title)
                return
            time.sleep(0.5)

    works: list[Callable[[], None]] = [*(lambda url=url: read(url) for url in urls), write, write]  # type: ignore[misc]
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=60)
