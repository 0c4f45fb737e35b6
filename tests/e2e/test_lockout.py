"""Password guessing through the gateway, spread over several processes."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from support.accounts import PASSWORD, Account, register
from support.stack import Stack


def log_in(stack: Stack, body: dict[str, str]) -> requests.Response:
    """Return auth's response to the password; stack.call would wait for its Retry-After."""
    while True:
        response = requests.post(stack.url + "/api/auth/token", json=body, timeout=30)
        # Neither a busy process nor the gateway's limit, which sets this header, checks or counts the password.
        if response.status_code != 503 and "RateLimit" not in response.headers:
            return response
        time.sleep(0.2)


@pytest.fixture(scope="module")
def victim(stack: Stack, first: Account) -> Account:
    return register(stack, "victim")


def test_16_guessers_at_once_get_no_further_than_one(stack: Stack, victim: Account, eve: Account) -> None:
    def guess(n: int) -> requests.Response:
        return log_in(stack, {"username": victim.username, "password": f"wrong horse {n}"})

    with ThreadPoolExecutor(max_workers=16) as pool:
        responses = list(pool.map(guess, range(16)))
    checked = [response for response in responses if response.status_code == 401]
    refused = [response for response in responses if response.status_code == 429]
    # The limit for an account from an address that has logged in to it.
    assert (len(checked), len(refused)) == (12, 4)
    for response in refused:
        assert response.headers["Content-Type"] == "application/problem+json"
        assert int(response.headers["Retry-After"]) >= 1

    # Another user at the same address.
    assert log_in(stack, {"username": eve.username, "password": PASSWORD}).status_code == 200
    body = {"username": victim.username, "password": PASSWORD}
    assert log_in(stack, body).status_code == 429
    assert log_in(stack, {**body, "last_refresh": victim.refresh}).status_code == 200
