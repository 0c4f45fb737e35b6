"""The parameters of password hashes, and the limits on concurrent hashing."""

import mmap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import argon2
import pytest
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher, PBKDF2PasswordHasher, make_password
from django.db import connection
from django.test import Client
from prometheus_client import REGISTRY

from accounts.users import hashers
from accounts.users.models import User
from servicekit.http.exceptions import ServiceUnavailable
from tests.clients import bearer

PASSWORD = "correct horse battery"


def parameters(encoded: str) -> tuple[str, int, int, int]:
    found = argon2.extract_parameters(encoded.removeprefix("argon2"))
    return found.type.name, found.memory_cost, found.time_cost, found.parallelism


def test_a_hash_has_owasps_parameters() -> None:
    assert parameters(make_password(PASSWORD)) == ("ID", 19 * 1024, 2, 1)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "encoded",
    [
        Argon2PasswordHasher().encode(PASSWORD, "saltsaltsaltsaltsalt12"),
        make_password(PASSWORD, hasher="pbkdf2_sha256"),
    ],
    ids=["Django's Argon2", "PBKDF2"],
)
def test_another_hash_is_accepted_once_and_replaced(client: Client, encoded: str) -> None:
    User.objects.create(username="ada", password=encoded)
    body = {"username": "ada", "password": PASSWORD}
    for _ in range(2):
        assert client.post("/api/auth/token", body, content_type="application/json").status_code == 200
        assert parameters(User.objects.get().password) == ("ID", 19 * 1024, 2, 1)


@pytest.mark.django_db(transaction=True)
def test_one_password_is_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registration, login and password change all hash one at a time, including old hashes."""
    users = [User.objects.create_user(f"changes{n}", PASSWORD) for n in range(8)]
    User.objects.create(username="old", password=PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1000))
    running, most, lock = 0, 0, threading.Lock()

    def watch(original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            try:
                return original(*args, **kwargs)
            finally:
                with lock:
                    running -= 1

        return watched

    for hasher in (hashers.Argon2idHasher, PBKDF2PasswordHasher):
        monkeypatch.setattr(hasher, "verify", watch(hasher.verify))
    monkeypatch.setattr(hashers.Argon2idHasher, "encode", watch(hashers.Argon2idHasher.encode))

    def call(n: int) -> int:
        path, body = [
            ("register", {"username": f"user{n}", "password": PASSWORD}),
            ("token", {"username": "old" if n == 1 else f"nobody{n}", "password": PASSWORD}),
            ("password", {"current": PASSWORD, "new": "another horse battery"}),
        ][n % 3]
        headers = bearer(users[n // 3])
        try:
            response = Client().post(f"/api/auth/{path}", body, content_type="application/json", headers=headers)
            return response.status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=8) as pool:
        assert sorted(pool.map(call, range(24))) == [200] + [201] * 8 + [204] * 8 + [401] * 7
    assert most == 1


def test_waiting_requests_leave_a_third_of_the_threads_free(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.PASSWORD_THREADS == 8  # Of the 12 threads that a process has by default.
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(hashers.password_slot())
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable), hashers.password_slot():
            pass
        # Refused immediately: waiting would occupy the thread that the refusal should free.
        assert time.monotonic() - started < 0.2
        for path, body in {
            "register": {"username": "ada", "password": PASSWORD},
            "token": {"username": "ada", "password": PASSWORD},
        }.items():
            response = client.post(f"/api/auth/{path}", body, content_type="application/json")
            assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    with hashers.password_slot():
        pass


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_hashing_for_many_threads_keeps_the_memory_of_one_hash() -> None:
    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE / 2**20

    def hash_often(_: int) -> None:
        for _ in range(5):
            hashers.one_at_a_time(make_password, PASSWORD)

    hash_often(0)
    before = resident()
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(hash_often, range(8)))
    # Hashing in those eight threads themselves would keep eight times 19 MiB.
    assert resident() - before < 25


def test_requests_that_hash_or_wait_to_are_counted():
    def pending() -> float:
        return REGISTRY.get_sample_value("auth_password_hashes_pending")

    with hashers.password_slot(), hashers.password_slot():
        assert pending() == 2
    assert pending() == 0
