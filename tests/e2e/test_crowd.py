"""Many concurrent logins: each waits for a password hash, but other requests do not."""

import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from support.accounts import PASSWORD, Account, register
from support.stack import LocalStack

ADDRESSES = [f"127.0.0.{n}" for n in range(10, 42)]
SECONDS = 6
# About 50 ms on two busy cores; without a limit on waiting logins it was 1.7 s on idle ones.
LONGEST_MEDIAN_SECONDS = 0.8


class FromAddress(HTTPAdapter):
    """An adapter with its own source address, so that the gateway's limits count each client separately."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, source_address=(self._address, 0), **kwargs)


@pytest.fixture(scope="module")
def user(local_stack: LocalStack, first: Account) -> Account:
    return register(local_stack, "crowd-user")


def test_32_logins_at_once_leave_threads_for_other_calls(local_stack: LocalStack, user: Account) -> None:
    over = threading.Event()
    logins: Counter[int] = Counter()

    def keep_logging_in(address: str) -> None:
        body = {"username": f"crowd-{address}", "password": PASSWORD}
        with requests.Session() as session:
            session.mount("http://", FromAddress(address))
            while not over.is_set():
                response = session.post(f"{local_stack.url}/api/auth/token", json=body, timeout=30)
                logins[response.status_code] += 1
                if response.status_code in (429, 503):
                    assert int(response.headers["Retry-After"]) >= 1

    def seconds_of(method: str, path: str, **arguments: Any) -> float:
        started = time.monotonic()
        assert local_stack.call(method, path, **arguments).status_code == 200
        return time.monotonic() - started

    tokens = {"access": user.access, "refresh": user.refresh}
    # Let auth's threads open their database connections first: some servers open only a few per second.
    with ThreadPoolExecutor(max_workers=len(ADDRESSES)) as others:
        list(others.map(lambda _: seconds_of("GET", "/api/auth/me", token=user.access), range(10 * len(ADDRESSES))))
    with ThreadPoolExecutor(max_workers=len(ADDRESSES)) as crowd:
        attempts = [crowd.submit(keep_logging_in, address) for address in ADDRESSES]
        try:
            reads, refreshes = [], []
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                reads.append(seconds_of("GET", "/api/auth/me", token=tokens["access"]))
                started = time.monotonic()
                response = local_stack.call("POST", "/api/auth/token/refresh", json={"refresh": tokens["refresh"]})
                assert response.status_code == 200
                refreshes.append(time.monotonic() - started)
                tokens = response.json()
                time.sleep(0.2)
        finally:
            over.set()
    for attempt in attempts:
        attempt.result()
    # Some were checked and some refused immediately.
    assert logins[401] > 0
    assert logins[503] > 0
    assert set(logins) <= {401, 429, 503}
    assert statistics.median(reads) < LONGEST_MEDIAN_SECONDS
    assert statistics.median(refreshes) < LONGEST_MEDIAN_SECONDS
