"""Guessing at a password through the gateway, at several processes at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from .conftest import PASSWORD, Account, Stack, make_account


@pytest.fixture(scope="module")
def victim(stack: Stack, first: Account) -> Account:
    return make_account(stack, "victim")


def test_16_guessers_at_once_get_no_further_than_one(stack: Stack, victim: Account, eve: Account) -> None:
    def guess(n: int) -> requests.Response:
        # Not by stack.call, which waits where it is asked to.
        body = {"username": victim.username, "password": f"wrong horse {n}"}
        return requests.post(stack.url + "/api/auth/token", json=body, timeout=30)

    with ThreadPoolExecutor(max_workers=16) as pool:
        answers = list(pool.map(guess, range(16)))
    looked_at = [answer for answer in answers if answer.status_code == 401]
    refused = [answer for answer in answers if answer.status_code == 429]
    # Five are free; on a slow machine the sixth may be due before the last has come.
    assert 5 <= len(looked_at) <= 6
    assert len(looked_at) + len(refused) == 16
    for answer in refused:
        assert answer.headers["Content-Type"] == "application/problem+json"
        # Refused by auth and not by the gateway.
        assert answer.json()["detail"].startswith("Too many attempts")
        assert int(answer.headers["Retry-After"]) >= 1

    for account in (eve, victim):
        body = {"username": account.username, "password": PASSWORD}
        assert stack.call("POST", "/api/auth/token", json=body).status_code == 200
