"""Sessions on the running stack: what ends one is known to every service, and what Redis' absence means."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .conftest import PASSWORD, Account, Stack, make_account, wait_for

# Of the 2 that are promised, since some time has passed when the call that ends a session returns.
KNOWN_WITHIN_SECONDS = 1.7
OTHER_PASSWORD = "another horse battery staple"
# A path of each service, and its answer to who is logged in: the last is for staff.
SERVICES = {"/api/auth/me": 200, "/api/tasks": 200, "/api/jobs": 403}


@pytest.fixture(scope="module")
def user(stack: Stack, first: Account) -> Account:
    return make_account(stack, "session-user")


def log_in(stack: Stack, user: Account, password: str = PASSWORD) -> dict[str, Any]:
    answer = stack.call("POST", "/api/auth/token", json={"username": user.username, "password": password})
    assert answer.status_code == 200, answer.text
    return answer.json()


def assert_alive(stack: Stack, pair: dict[str, Any]) -> None:
    assert {path: stack.call("GET", path, token=pair["access"]).status_code for path in SERVICES} == SERVICES


def assert_dead(stack: Stack, pair: dict[str, Any]) -> None:
    """The refresh token at once, the access token within 2 s and for good."""
    assert stack.call("POST", "/api/auth/token/refresh", json={"refresh": pair["refresh"]}).status_code == 401
    time.sleep(KNOWN_WITHIN_SECONDS)
    for path in SERVICES:
        # Each service has several processes with a copy of their own.
        answers = [stack.call("GET", path, token=pair["access"]) for _ in range(8)]
        assert {answer.status_code for answer in answers} == {401}, path


def test_logout_is_known_everywhere_within_2_s(stack: Stack, user: Account) -> None:
    pair, other = log_in(stack, user), log_in(stack, user)
    assert_alive(stack, pair)
    assert stack.call("POST", "/api/auth/logout", json={"refresh": pair["refresh"]}).status_code == 204
    assert_dead(stack, pair)
    assert_alive(stack, other)


def test_logout_everywhere_ends_every_session(stack: Stack, user: Account) -> None:
    pair, other = log_in(stack, user), log_in(stack, user)
    assert_alive(stack, pair)
    assert stack.call("DELETE", "/api/auth/sessions", token=other["access"]).status_code == 204
    assert_dead(stack, pair)
    assert_dead(stack, other)


def test_a_session_of_ones_own_can_be_ended_and_no_other(stack: Stack, user: Account, eve: Account) -> None:
    pair, other = log_in(stack, user), log_in(stack, user)
    listed = stack.call("GET", "/api/auth/sessions", token=other["access"]).json()
    assert [entry["current"] for entry in listed].count(True) == 1
    assert {entry["address"] for entry in listed} == {stack.client_address}
    by_age = sorted(listed, key=lambda entry: entry["created_at"])
    path = f"/api/auth/sessions/{by_age[-2]['id']}"
    assert stack.call("DELETE", path, token=eve.access).status_code == 404
    assert stack.call("GET", "/api/tasks", token=pair["access"]).status_code == 200
    assert stack.call("DELETE", path, token=other["access"]).status_code == 204
    assert_dead(stack, pair)


def test_a_new_password_ends_the_other_sessions(stack: Stack, first: Account) -> None:
    user = make_account(stack, "password-user")
    other, this = log_in(stack, user), log_in(stack, user)
    assert_alive(stack, other)
    body = {"current": PASSWORD, "new": OTHER_PASSWORD}
    assert stack.call("POST", "/api/auth/password", token=this["access"], json=body).status_code == 204
    assert_dead(stack, other)
    assert stack.call("GET", "/api/tasks", token=this["access"]).status_code == 200
    assert stack.call("POST", "/api/auth/token/refresh", json={"refresh": this["refresh"]}).status_code == 200
    assert log_in(stack, user, OTHER_PASSWORD)


def test_one_refresh_token_16_times_at_once_has_one_successor(stack: Stack, user: Account) -> None:
    for _ in range(3):
        body = {"refresh": log_in(stack, user)["refresh"]}
        with ThreadPoolExecutor(max_workers=16) as pool:
            attempts = [pool.submit(stack.call, "POST", "/api/auth/token/refresh", json=body) for _ in range(16)]
        answers = [attempt.result() for attempt in attempts]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1


def test_a_replay_ends_the_session_and_is_logged(stack: Stack, user: Account) -> None:
    first = log_in(stack, user)
    second = stack.call("POST", "/api/auth/token/refresh", json={"refresh": first["refresh"]}).json()
    third = stack.call("POST", "/api/auth/token/refresh", json={"refresh": second["refresh"]}).json()
    assert stack.call("POST", "/api/auth/token/refresh", json={"refresh": first["refresh"]}).status_code == 401
    assert_dead(stack, third)
    line = json.loads(stack.printed(lambda line: "refresh token replayed" in line, within=5).partition("| ")[2])
    assert (line["level"], line["user"], line["address"]) == ("WARNING", user.id, stack.client_address)


def test_redis_frozen_lets_requests_and_logout_go_on(stack: Stack, user: Account) -> None:
    pair = log_in(stack, user)
    with stack.frozen_redis():
        time.sleep(2.5)  # Until every process has noticed: requests must not wait then either.
        started = time.monotonic()
        for _ in range(20):
            assert stack.call("GET", "/api/tasks", token=pair["access"]).status_code == 200
        assert time.monotonic() - started < 1
        assert stack.call("POST", "/api/auth/logout", json={"refresh": pair["refresh"]}).status_code == 204
        assert stack.call("POST", "/api/auth/token/refresh", json={"refresh": pair["refresh"]}).status_code == 401
        # Bounded by the five minutes that it has; nobody could be told.
        assert stack.call("GET", "/api/tasks", token=pair["access"]).status_code == 200
    wait_for(lambda: stack.call("GET", "/readyz").status_code == 200 or None, within=10)
    stack.printed(lambda line: "ended sessions known again" in line, within=5)
