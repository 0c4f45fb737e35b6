"""A part of the running stack is frozen or locked: the effects on clients, and the recovery without help."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.accounts import Account
from support.http import responds
from support.stack import Stack
from support.waiting import wait_until

# Slightly more than the longest time that a writer waits for another transaction.
LOCKED_FOR_SECONDS = 12


@pytest.mark.alone
def test_redis_frozen_leaves_requests_alone_and_is_named_by_readyz(stack: Stack, ada: Account) -> None:
    with stack.frozen_redis():
        started = time.monotonic()
        created = stack.call("POST", "/api/tasks", token=ada.access, json={"title": "While frozen", "duration": 1})
        renamed = stack.call("PATCH", created.headers["Location"], token=ada.access, json={"title": "Still"})
        deleted = stack.call("DELETE", created.headers["Location"], token=ada.access)
        assert [response.status_code for response in (created, renamed, deleted)] == [201, 200, 204]
        assert time.monotonic() - started < 1
        unready = stack.call("GET", "/readyz")
        assert unready.status_code == 503
        assert unready.headers["Content-Type"] == "application/problem+json"
        assert "redis" in unready.json()["detail"]
        assert "database" not in unready.json()["detail"]
        assert int(unready.headers["Retry-After"]) >= 1
        assert stack.call("GET", "/healthz").status_code == 200
    wait_until(lambda: responds(f"{stack.url}/readyz"), timeout=10)


@pytest.mark.sqlite
def test_a_locked_database_is_a_503_and_then_works_again(stack: Stack, ada: Account) -> None:
    with stack.locked_database():
        started = time.monotonic()
        with ThreadPoolExecutor() as pool:
            responses = pool.map(
                lambda n: stack.call("POST", "/api/tasks", token=ada.access, json={"title": "x", "duration": n}),
                range(1, 4),
            )
            for response in responses:
                assert response.status_code == 503
                assert response.headers["Content-Type"] == "application/problem+json"
                assert int(response.headers["Retry-After"]) >= 1
        assert time.monotonic() - started < LOCKED_FOR_SECONDS
        # Readers do not wait for a writer.
        assert stack.call("GET", "/api/tasks", token=ada.access).status_code == 200
    assert stack.call("POST", "/api/tasks", token=ada.access, json={"title": "x", "duration": 1}).status_code == 201


def test_eight_clients_at_once_lose_no_write(stack: Stack, eve: Account) -> None:
    def write(client: int) -> list[int]:
        ids = []
        for n in range(25):
            created = stack.call("POST", "/api/tasks", token=eve.access, json={"title": f"{client}.{n}", "duration": 1})
            path = f"/api/tasks/{created.json()['id']}"
            renamed = stack.call("PATCH", path, token=eve.access, json={"title": f"{client}.{n} again"})
            assert (created.status_code, renamed.status_code) == (201, 200)
            ids.append(created.json()["id"])
        return ids

    with ThreadPoolExecutor(max_workers=8) as pool:
        written = {task_id for ids in pool.map(write, range(8)) for task_id in ids}
    assert len(written) == 200

    found = {task["id"]: task["title"] for task in stack.all_tasks(token=eve.access)}
    assert written <= set(found)
    assert all(found[task_id].endswith(" again") for task_id in written)


def test_renaming_at_one_version_succeeds_once(stack: Stack, ada: Account) -> None:
    created = stack.call("POST", "/api/tasks", token=ada.access, json={"title": "Race", "duration": 1})
    path = created.headers["Location"]

    def rename(n: int) -> int:
        headers = {"If-Match": created.headers["ETag"]}
        return stack.call("PATCH", path, token=ada.access, json={"title": f"{n}"}, headers=headers).status_code

    with ThreadPoolExecutor(max_workers=8) as pool:
        statuses = sorted(pool.map(rename, range(8)))
    assert statuses == [200] + [412] * 7
