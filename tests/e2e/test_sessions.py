"""Sessions on the running stack: every service refuses ended ones, and requests work without Redis."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.accounts import PASSWORD, Account, log_in, register
from support.http import responds
from support.stack import Stack, log_entry
from support.waiting import wait_until

# Less than the documented 2 s, since some time has passed when the request that ends a session returns.
KNOWN_WITHIN_SECONDS = 1.7
OTHER_PASSWORD = "another horse battery staple"
# A path of each service and its status for a logged-in user; the last is for staff.
SERVICES = {"/api/auth/me": 200, "/api/tasks": 200, "/api/jobs": 403}


@pytest.fixture(scope="module")
def user(stack: Stack, first: Account) -> Account:
    return register(stack, "session-user")


def assert_accepted(stack: Stack, pair: dict[str, Any]) -> None:
    assert {path: stack.call("GET", path, token=pair["access"]).status_code for path in SERVICES} == SERVICES


def assert_ended(stack: Stack, pair: dict[str, Any]) -> None:
    """Check that the refresh token is refused immediately and the access token within 2 s."""
    assert stack.call("POST", "/api/auth/token/refresh", json={"refresh": pair["refresh"]}).status_code == 401
    time.sleep(KNOWN_WITHIN_SECONDS)
    for path in SERVICES:
        # Each process of a service has its own copy of the ended sessions.
        assert {stack.call("GET", path, token=pair["access"]).status_code for _ in range(8)} == {401}, path


def assert_refused_everywhere(stack: Stack, pair: dict[str, Any], *, timeout: float) -> None:
    """Check that every process of every service refuses the access token after ``timeout`` seconds."""
    time.sleep(timeout)
    for path in SERVICES:
        assert {stack.call("GET", path, token=pair["access"]).status_code for _ in range(8)} == {401}, path


def test_logout_is_known_everywhere_within_2_s(stack: Stack, user: Account) -> None:
    pair, other = log_in(stack, user.username), log_in(stack, user.username)
    assert_accepted(stack, pair)
    assert stack.call("POST", "/api/auth/logout", json={"refresh": pair["refresh"]}).status_code == 204
    assert_ended(stack, pair)
    assert_accepted(stack, other)


def test_logout_everywhere_ends_every_session(stack: Stack, user: Account) -> None:
    pair, other = log_in(stack, user.username), log_in(stack, user.username)
    assert_accepted(stack, pair)
    assert stack.call("DELETE", "/api/auth/sessions", token=other["access"]).status_code == 204
    assert_ended(stack, pair)
    assert_ended(stack, other)


def test_a_session_of_ones_own_can_be_ended_and_no_other(stack: Stack, user: Account, eve: Account) -> None:
    pair, other = log_in(stack, user.username), log_in(stack, user.username)
    listed = stack.call("GET", "/api/auth/sessions", token=other["access"]).json()
    assert [entry["current"] for entry in listed].count(True) == 1
    assert {entry["address"] for entry in listed} == {stack.client_address}
    by_age = sorted(listed, key=lambda entry: entry["created_at"])
    path = f"/api/auth/sessions/{by_age[-2]['id']}"
    assert stack.call("DELETE", path, token=eve.access).status_code == 404
    assert stack.call("GET", "/api/tasks", token=pair["access"]).status_code == 200
    assert stack.call("DELETE", path, token=other["access"]).status_code == 204
    assert_ended(stack, pair)


def test_a_new_password_ends_the_other_sessions(stack: Stack, first: Account) -> None:
    user = register(stack, "password-user")
    other, this = log_in(stack, user.username), log_in(stack, user.username)
    assert_accepted(stack, other)
    body = {"current": PASSWORD, "new": OTHER_PASSWORD}
    assert stack.call("POST", "/api/auth/password", token=this["access"], json=body).status_code == 204
    assert_ended(stack, other)
    assert stack.call("GET", "/api/tasks", token=this["access"]).status_code == 200
    assert stack.call("POST", "/api/auth/token/refresh", json={"refresh": this["refresh"]}).status_code == 200
    assert log_in(stack, user.username, password=OTHER_PASSWORD)


def test_one_refresh_token_16_times_at_once_has_one_successor(stack: Stack, user: Account) -> None:
    for _ in range(3):
        body = {"refresh": log_in(stack, user.username)["refresh"]}
        with ThreadPoolExecutor(max_workers=16) as pool:
            attempts = [pool.submit(stack.call, "POST", "/api/auth/token/refresh", json=body) for _ in range(16)]
        responses = [attempt.result() for attempt in attempts]
        assert {response.status_code for response in responses} == {200}
        assert len({response.content for response in responses}) == 1


def test_a_replay_ends_the_session_and_is_logged(stack: Stack, user: Account) -> None:
    first = log_in(stack, user.username)
    second = stack.call("POST", "/api/auth/token/refresh", json={"refresh": first["refresh"]}).json()
    third = stack.call("POST", "/api/auth/token/refresh", json={"refresh": second["refresh"]}).json()
    assert stack.call("POST", "/api/auth/token/refresh", json={"refresh": first["refresh"]}).status_code == 401
    assert_ended(stack, third)
    line = stack.wait_for_line(lambda line: "refresh token replayed" in line, timeout=5)
    entry = log_entry(line) or {}
    assert (entry["level"], entry["user_id"], entry["client"]) == ("WARNING", user.id, stack.client_address)


def test_redis_frozen_lets_requests_and_logout_go_on(stack: Stack, user: Account) -> None:
    pair = log_in(stack, user.username)
    with stack.frozen_redis():
        time.sleep(2.5)  # Every process has noticed by then; requests must still not wait.
        started = time.monotonic()
        for _ in range(20):
            assert stack.call("GET", "/api/tasks", token=pair["access"]).status_code == 200
        assert time.monotonic() - started < 1
        started = time.monotonic()
        assert stack.call("POST", "/api/auth/logout", json={"refresh": pair["refresh"]}).status_code == 204
        assert time.monotonic() - started < 0.5
        assert stack.call("POST", "/api/auth/token/refresh", json={"refresh": pair["refresh"]}).status_code == 401
        # Only auth knows of the logout; in the other services the access token remains valid for up to five minutes.
        assert stack.call("GET", "/api/auth/me", token=pair["access"]).status_code == 401
        assert stack.call("GET", "/api/tasks", token=pair["access"]).status_code == 200
    assert_refused_everywhere(stack, pair, timeout=2)
    wait_until(lambda: responds(f"{stack.url}/readyz"), timeout=10)
    stack.wait_for_line(lambda line: "ended sessions known again" in line, timeout=5)
