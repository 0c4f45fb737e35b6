"""Conventions that API users take for granted, tested on the whole stack."""

import re
from typing import Any

import pytest

from support.accounts import PASSWORD, register
from support.stack import Stack


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    return register(stack, "conventional").access


@pytest.fixture(scope="module")
def task(stack: Stack, token: str) -> dict[str, Any]:
    return stack.call("POST", "/api/tasks", token=token, json={"title": "1234.5", "duration": 525_600}).json()


@pytest.mark.parametrize("language", ["de-DE,de;q=0.9", "ar-EG", "fa", "hi-IN", "*"])
def test_no_language_changes_a_number_or_a_time(stack: Stack, token: str, task: dict[str, Any], language: str) -> None:
    path = f"/api/tasks/{task['id']}"
    plain = stack.call("GET", path, token=token)
    localized = stack.call("GET", path, token=token, headers={"Accept-Language": language})

    assert localized.content == plain.content
    assert b'"duration":525600' in plain.content
    refused = stack.call("POST", "/api/tasks", token=token, json={}, headers={"Accept-Language": language})
    assert refused.json()["errors"]["title"] == ["This field is required."]


def test_what_was_created_is_where_the_answer_says(stack: Stack, token: str) -> None:
    created = stack.call("POST", "/api/tasks", token=token, json={"title": "Here", "duration": 5})

    assert created.status_code == 201
    assert stack.call("GET", created.headers["Location"], token=token).content == created.content


def test_a_task_that_the_client_has_is_not_sent_again(stack: Stack, token: str, task: dict[str, Any]) -> None:
    path = f"/api/tasks/{task['id']}"
    first = stack.call("GET", path, token=token)
    # A strong tag although the client accepts gzip: If-Match needs one.
    assert re.fullmatch('"[0-9]+"', first.headers["ETag"])
    assert first.headers["Cache-Control"] == "private, no-cache"

    again = stack.call("GET", path, token=token, headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert again.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/api/tasks", "GET, POST, HEAD, OPTIONS"),
        ("/api/tasks/1", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        ("/api/auth/me", "GET, PATCH, HEAD, OPTIONS"),
        ("/api/auth/token", "POST, OPTIONS"),
        ("/api/jobs", "GET, HEAD, OPTIONS"),
    ],
)
def test_options_needs_no_token(stack: Stack, path: str, allow: str) -> None:
    response = stack.call("OPTIONS", path)

    assert (response.status_code, response.content, response.headers["Allow"]) == (204, b"", allow)


def test_head_is_get_without_the_body(stack: Stack, token: str, task: dict[str, Any]) -> None:
    for path in ("/api/tasks", f"/api/tasks/{task['id']}", "/api/auth/me", "/healthz", "/api/openapi.json"):
        got = stack.call("GET", path, token=token, headers={"Accept-Encoding": "identity"})
        head = stack.call("HEAD", path, token=token, headers={"Accept-Encoding": "identity"})
        changing = {"X-Request-ID", "Date"}
        assert (head.status_code, head.content) == (200, b"")
        assert {name: head.headers[name] for name in head.headers if name not in changing} == {
            name: got.headers[name] for name in got.headers if name not in changing
        }


def test_tokens_are_not_for_caches(stack: Stack) -> None:
    response = stack.call("POST", "/api/auth/token", json={"username": "conventional", "password": PASSWORD})

    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["RateLimit-Policy"] == '"auth";q=10000;w=1'


def test_a_long_list_is_compressed_and_the_same(stack: Stack, token: str) -> None:
    for number in range(20):
        stack.call("POST", "/api/tasks", token=token, json={"title": f"Task {number}", "duration": 5})

    compressed = stack.call("GET", "/api/tasks?limit=20", token=token)
    plain = stack.call("GET", "/api/tasks?limit=20", token=token, headers={"Accept-Encoding": "identity"})

    assert (compressed.headers["Content-Encoding"], compressed.json()) == ("gzip", plain.json())
    assert "Accept-Encoding" in compressed.headers["Vary"]
