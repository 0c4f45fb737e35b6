"""Responses as sent over the wire, and the checks that the contract requires of each."""

import json
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from typing import Any

import requests


@dataclass(frozen=True, init=False)
class Response:
    """A response with every header as sent: one that a client received, or one that a service is to send."""

    status: int
    headers: HTTPMessage
    body: bytes

    def __init__(
        self, status: int = 200, headers: Mapping[str, str] | HTTPMessage | None = None, body: bytes = b"{}"
    ) -> None:
        if not isinstance(headers, HTTPMessage):
            given, headers = headers or {}, HTTPMessage()
            for name, value in given.items():
                headers[name] = value
        object.__setattr__(self, "status", status)
        object.__setattr__(self, "headers", headers)
        object.__setattr__(self, "body", body)

    def json(self) -> Any:
        return json.loads(self.body)


def exchange(connection: socket.socket, *parts: bytes, method: str = "GET") -> Response:
    """Send exactly these bytes, and return the response."""
    # An early refusal closes the connection while the request is still being sent.
    with suppress(BrokenPipeError, ConnectionResetError):
        for part in parts:
            connection.sendall(part)
    response = HTTPResponse(connection, method=method)
    try:
        response.begin()
        return Response(response.status, response.headers, response.read())
    finally:
        response.close()


def responds(url: str, *, status: int = 200) -> bool:
    """Return whether a GET of the URL returns this status."""
    try:
        return requests.get(url, timeout=30, allow_redirects=False).status_code == status
    except requests.ConnectionError:
        return False


def assert_problem(response: Response, status: int, slug: str) -> dict[str, Any]:
    """Check the gateway's own response against the contract for every error; return its body."""
    assert response.status == status, response
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert set(body) == {"type", "title", "status", "detail", "instance", "request_id"}
    assert body["type"] == f"/problems/{slug}"
    assert body["status"] == status
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert response.headers.get_all("Cache-Control") == ["no-store"]
    assert_secured(response)
    return body


def assert_secured(response: Response) -> None:
    """Check that each header required of every response through the gateway occurs exactly once."""
    for name, value in {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
    }.items():
        assert response.headers.get_all(name) == [value], name
    (policy,) = response.headers.get_all("Content-Security-Policy") or []
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    (request_id,) = response.headers.get_all("X-Request-ID") or []
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    assert response.headers["Server"] == "nginx"
