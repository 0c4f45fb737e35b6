"""What a password's hash is, and that few are made at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import argon2
import pytest
from django.contrib.auth.hashers import (
    Argon2PasswordHasher,
    make_password,
)
from django.db import connection
from django.test import Client

from accounts.users import hashers
from accounts.users.models import User
from servicekit.http.exceptions import ServiceUnavailable
from servicekit.testing import bearer

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
def test_another_hash_is_taken_once_and_made_anew(client: Client, encoded: str) -> None:
    User.objects.create(username="ada", password=encoded)
    body = {"username": "ada", "password": PASSWORD}
    for _ in range(2):
        assert client.post("/api/auth/token", body, content_type="application/json").status_code == 200
        assert parameters(User.objects.get().password) == ("ID", 19 * 1024, 2, 1)


@pytest.mark.django_db(transaction=True)
def test_one_password_is_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever hashes: register, login and the change of a password."""
    monkeypatch.setattr(hashers, "LONGEST_WAIT_SECONDS", 30)
    users = [User.objects.create_user(f"changes{n}", PASSWORD) for n in range(8)]
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

    monkeypatch.setattr(hashers.Argon2idHasher, "encode", watch(hashers.Argon2idHasher.encode))
    monkeypatch.setattr(hashers.Argon2idHasher, "verify", watch(hashers.Argon2idHasher.verify))

    def call(n: int) -> int:
        path, body = [
            ("register", {"username": f"user{n}", "password": PASSWORD}),
            ("token", {"username": f"nobody{n}", "password": PASSWORD}),
            ("password", {"current": PASSWORD, "new": "another horse battery"}),
        ][n % 3]
        headers = bearer(users[n // 3].id)
        try:
            answer = Client().post(f"/api/auth/{path}", body, content_type="application/json", headers=headers)
            return answer.status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=8) as pool:
        assert sorted(pool.map(call, range(24))) == [201] * 8 + [204] * 8 + [401] * 8
    assert most == 1


def test_waiting_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashers, "LONGEST_WAIT_SECONDS", 0.01)
    with hashers.hashing(), pytest.raises(ServiceUnavailable), hashers.hashing():
        pass
    with hashers.hashing():
        pass
