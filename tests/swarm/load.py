"""Clients that read and write all the time through the nodes' addresses, and what they saw."""

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
class Seen:
    """One request: when it was sent and how long it took (seconds), and its status, 0 for none."""

    at: float
    took: float
    status: int


@dataclasses.dataclass
class Load:
    """What the clients have seen."""

    gets: list[Seen] = dataclasses.field(default_factory=list)
    posts: list[Seen] = dataclasses.field(default_factory=list)
    # Titles whose 201 has arrived, after however many tries with the same key.
    acknowledged: list[str] = dataclasses.field(default_factory=list)

    def failed_gets(self, *, since: float = 0) -> list[Seen]:
        return [seen for seen in self.gets if seen.status != 200 and seen.at >= since]

    def __str__(self) -> str:
        def summary(all_seen: list[Seen]) -> str:
            slowest = max((seen.took for seen in all_seen), default=0)
            return f"{len(all_seen)} {dict(Counter(seen.status for seen in all_seen))}, slowest {slowest:.2f} s"

        return f"GET {summary(self.gets)}; POST {summary(self.posts)}; {len(self.acknowledged)} acknowledged"


def ask(method: str, url: str, seen: list[Seen], **arguments: object) -> int:
    """Send one request over a connection of its own; return its status, 0 for none."""
    at = time.monotonic()
    try:
        status = requests.request(method, url, timeout=20, **arguments).status_code  # type: ignore[arg-type]
    except requests.RequestException:
        status = 0
    seen.append(Seen(at, time.monotonic() - at, status))
    return status


@contextmanager
def load(urls: list[str], headers: dict[str, str]) -> Iterator[Load]:
    """Read through each of the addresses and write through all of them, while the block runs."""
    load, stop = Load(), threading.Event()

    def read(url: str) -> None:
        while not stop.wait(PAUSE_SECONDS):
            ask("GET", f"{url}/api/tasks", load.gets, headers=headers)

    def write() -> None:
        addresses = itertools.cycle(urls)
        while not stop.wait(PAUSE_SECONDS):
            create(addresses)

    def create(addresses: Iterator[str]) -> None:
        """Create one task, as a client does that tries again with the same key, at the next address."""
        title = uuid.uuid4().hex
        for url in itertools.islice(addresses, 60):
            key = {"Idempotency-Key": title}
            body = {"title": title, "duration": 1}
            if ask("POST", f"{url}/api/tasks", load.posts, headers=headers | key, json=body) == 201:
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
