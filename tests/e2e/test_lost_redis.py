"""Ended sessions stay ended even if Redis loses data: auth announces them again."""

import time
from collections.abc import Callable

import pytest
from psutil import Process
from redis import Redis

from support.accounts import Account, log_in, register
from support.http import responds
from support.stack import LocalStack
from support.waiting import wait_until

ANNOUNCED_WITHIN_SECONDS = 2
# The services that learn of it only through Redis. Each process of a service has its own copy.
SERVICES = ("/api/tasks", "/api/jobs")


@pytest.fixture(scope="module")
def user(local_stack: LocalStack, first: Account) -> Account:
    return register(local_stack, "lost-redis-user")


def flush(redis: Redis, process: Process) -> None:
    redis.flushall()


def forget(redis: Redis, process: Process) -> None:
    """Lose a write, as when a replica that lagged behind is promoted."""
    redis.delete("task-api:ended-sessions")


def restart_empty(redis: Redis, process: Process) -> None:
    redis.flushall()
    process.kill()


@pytest.mark.parametrize("lose", [flush, forget, restart_empty])
def test_ended_sessions_are_refused_again_within_2_s(
    local_stack: LocalStack, user: Account, lose: Callable[[Redis, Process], None]
) -> None:
    ended, other = (log_in(local_stack, user.username)["access"] for _ in range(2))

    def statuses(token: str) -> set[int]:
        return {local_stack.call("GET", path, token=token).status_code for path in SERVICES for _ in range(8)}

    with Redis.from_url(local_stack.environment["REDIS_URL"]) as redis:
        sessions = local_stack.call("GET", "/api/auth/sessions", token=ended).json()
        [session] = [session["id"] for session in sessions if session["current"]]
        local_stack.call("DELETE", f"/api/auth/sessions/{session}", token=ended)
        wait_until(lambda: statuses(ended) == {401}, timeout=ANNOUNCED_WITHIN_SECONDS)
        lose(redis, local_stack.part("redis-server"))
    wait_until(lambda: responds(f"{local_stack.url}/readyz"), timeout=15)
    time.sleep(ANNOUNCED_WITHIN_SECONDS)
    assert statuses(ended) == {401}
    assert local_stack.call("GET", "/api/auth/me", token=ended).status_code == 401
    assert statuses(other) == {200, 403}
