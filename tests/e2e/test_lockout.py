"""Guessing at a password through the gateway, at several processes at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from support.accounts import PASSWORD, Account, register
from support.stack import Stack


@pytest.fixture(scope="module")
def victim(stack: Stack, first: Account) -> Account:
    return register(stack, "victim")


def test_16_guessers_at_once_get_no_further_than_one(stack: Stack, victim: Account, eve: Account) -> None:
    def guess(n: int) -> requests.Response:
        # Not stack.call, which waits for Retry-After.
        body = {"username": victim.username, "password": f"wrong horse {n}"}
        return requests.post(stack.url + "/api/auth/token", json=body, timeout=30)

    with ThreadPoolExecutor(max_workers=16) as pool:
        responses = list(pool.map(guess, range(16)))
    checked = [response for response in responses if response.status_code == 401]
    refused = [response for response in responses if response.status_code == 429]
    # Five are free; on a slow machine the sixth may be due before the last has arrived.
    assert 5 <= len(checked) <= 6
    assert len(checked) + len(refused) == 16
    for response in refused:
        assert response.headers["Content-Type"] == "application/problem+json"
        # By auth, not by the gateway.
        assert response.json()["detail"].startswith("Too many attempts")
        assert int(response.headers["Retry-After"]) >= 1

    for account in (eve, victim):
        body = {"username": account.username, "password": PASSWORD}
        assert stack.call("POST", "/api/auth/token", json=body).status_code == 200
