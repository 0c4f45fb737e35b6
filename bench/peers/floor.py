"""The floor: a bare WSGI function with the same SQL and token check, and nothing else that an API needs."""

import json
import os
import re
import sqlite3
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jwt

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

COLUMNS = "id, title, duration, created_at, updated_at"
LIST = f"SELECT {COLUMNS} FROM tasks_task WHERE owner_id = ? ORDER BY created_at DESC, id DESC LIMIT 4"
RETRIEVE = f"SELECT {COLUMNS} FROM tasks_task WHERE id = ? AND owner_id = ?"
CREATE = (
    "INSERT INTO tasks_task (owner_id, title, duration, version, created_at, updated_at) VALUES (?, ?, ?, 1, ?, ?)"
    f" RETURNING {COLUMNS}"
)
RENAME = f"UPDATE tasks_task SET title = ?, updated_at = ? WHERE id = ? AND owner_id = ? RETURNING {COLUMNS}"
DELETE = f"DELETE FROM tasks_task WHERE id = ? AND owner_id = ? RETURNING {COLUMNS}"
NAMES = COLUMNS.split(", ")
TASK = re.compile(r"/api/tasks/(\d+)")
KEY = os.environ["BENCH_KEY"]

_thread = threading.local()


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
    try:
        token = environ["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
        user_id = int(jwt.decode(token, KEY, algorithms=["HS256"], audience="task-api", issuer="auth")["user_id"])
    except (KeyError, ValueError, jwt.InvalidTokenError):
        return _respond(start_response, "401 Unauthorized", {"detail": "a valid token is required"})
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    if path == "/api/tasks":
        if method == "GET":
            return _respond(start_response, "200 OK", [_shown(row) for row in _rows(LIST, user_id)])
        body, now = json.load(environ["wsgi.input"]), datetime.now(UTC).isoformat()
        row = _rows(CREATE, user_id, body["title"], body["duration"], now, now)[0]
        return _respond(start_response, "201 Created", _shown(row))
    found = TASK.fullmatch(path)
    task_id = int(found[1]) if found else 0
    if method == "GET":
        rows = _rows(RETRIEVE, task_id, user_id)
    elif method == "PATCH":
        title = json.load(environ["wsgi.input"])["title"]
        rows = _rows(RENAME, title, datetime.now(UTC).isoformat(), task_id, user_id)
    else:
        rows = _rows(DELETE, task_id, user_id)
    if not rows:
        return _respond(start_response, "404 Not Found", {"detail": "not found"})
    if method == "DELETE":
        start_response("204 No Content", [])
        return []
    return _respond(start_response, "200 OK", _shown(rows[0]))


def _rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    if not hasattr(_thread, "connection"):
        _thread.connection = sqlite3.connect(os.environ["BENCH_DATABASE"], timeout=10, isolation_level=None)
        _thread.connection.execute("PRAGMA synchronous=NORMAL")
        _thread.connection.execute("PRAGMA wal_autocheckpoint=4000")
    return _thread.connection.execute(sql, values).fetchall()


def _shown(row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(NAMES, row, strict=True))


def _respond(start_response: "StartResponse", status: str, body: Any) -> "Iterable[bytes]":
    content = json.dumps(body).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]
