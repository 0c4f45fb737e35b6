"""Hooks for schemathesis: rules that JSON Schema cannot express, and checks of our own."""

from typing import Any

import schemathesis

PROBLEM_MEMBERS = ["type", "title", "status", "detail", "instance", "request_id"]
TITLE_MAXIMUM_UNITS = 200


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Send integers as integers: 5.0 is an integer in JSON Schema, but an error in this API."""
    if isinstance(body, dict):
        return {
            name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in body.items()
        }
    return body


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Drop titles that are too long: JSON Schema counts characters, nvarchar(200) counts UTF-16 code units."""
    title = body.get("title") if isinstance(body, dict) else None
    if not isinstance(title, str) or len(title) > TITLE_MAXIMUM_UNITS:
        return True
    return len(title.encode("utf-16-le", "surrogatepass")) // 2 <= TITLE_MAXIMUM_UNITS


@schemathesis.check
def errors_are_problems(context: Any, response: Any, case: Any) -> None:
    """Check that each error has its members in order and the type of its status."""
    if response.status_code < 400 or case.method.upper() == "HEAD":
        return
    body = response.json()
    assert response.headers["content-type"] == ["application/problem+json"]
    assert [name for name in body if name in PROBLEM_MEMBERS] == PROBLEM_MEMBERS
    assert body["status"] == response.status_code
    assert body["type"] == "/problems/" + body["title"].lower().replace(" ", "-")
    assert [body["request_id"]] == response.headers["x-request-id"]
