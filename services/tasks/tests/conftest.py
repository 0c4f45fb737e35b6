"""Fixtures and helpers that several test modules use."""

import datetime
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from servicekit.testing import bearer
from tasks.models import Task

pytest_plugins = ["servicekit.pytest_plugin"]

ROOT = Path(__file__).resolve().parent.parent
AT = datetime.datetime(2026, 1, 31, 9, 30, 0, 123_456, tzinfo=datetime.UTC)

_numbers = itertools.count(1)


def sent(queries: CaptureQueriesContext) -> list[str]:
    """Return the first word of each statement, except those of transactions, since each test runs in one.

    A batch counts as one.
    """
    texts = [query["sql"] for query in queries.captured_queries]
    words = [text.split()[0] for text in texts if text != "SELECT @@TRANCOUNT"]
    return [word for word in words if word not in ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK", "SAVE")]


def change(word: str) -> list[str]:
    """Return the result of ``sent`` for a change and its event; ``word`` starts the batch on SQLite."""
    return [word if connection.vendor == "sqlite" else "SET"]


class API:
    """A client of the service for one user, or an anonymous one if the user is None."""

    def __init__(self, user_id: int | None) -> None:
        self._client = Client(raise_request_exception=False)
        self._user_id = user_id

    def __call__(self, method: str, path: str, json: object = None, *, body: bytes | None = None, **headers: str):
        """Send a request; ``headers`` are named with underscores: If_Match="*"."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = {"content_type": "application/json", "data": body if body is not None else json}
        if body is None and json is None:
            content = {}
        identity = {} if self._user_id is None else bearer(self._user_id)
        send = getattr(self._client, method.lower())
        return send(path, headers={**identity, "X-Request-ID": "0" * 32, **named}, **content)


@pytest.fixture
def api() -> API:
    """A client for user 1."""
    return API(1)


@pytest.fixture
def stranger() -> API:
    """A client for user 2."""
    return API(2)


@pytest.fixture
def anonymous() -> API:
    return API(None)


@pytest.fixture
def make_task(db: None) -> Callable[..., Task]:
    """Store a task of user 1 at version 1, each a second after the previous one unless created_at is given."""

    def make(**values: object) -> Task:
        number = next(_numbers)
        at = values.pop("created_at", AT + datetime.timedelta(seconds=number))
        times = {"created_at": at, "updated_at": at}
        defaults = {"owner_id": 1, "title": f"Task {number}", "duration": 30, "version": 1, **times}
        return Task.objects.create(**{**defaults, **values})

    return make


@pytest.fixture
def own_database(tmp_path: Path) -> dict[str, str]:
    """The environment of a separate process with its own SQLite file, which has the tables."""
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=30)
    return environment
