"""Fixtures and helpers that several test modules use."""

import datetime
import logging
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from jobs.models import Run, Task, turn_of
from servicekit.process.context import request_id
from servicekit.testing import bearer
from webhooks.models import Event

pytest_plugins = ["servicekit.pytest_plugin"]

ROOT = Path(__file__).resolve().parent.parent
SLOT = datetime.datetime(2026, 1, 31, 9, 30, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Create the tables that the tasks service owns, in addition to those of this service's migrations."""
    with django_db_blocker.unblock():
        with connection.schema_editor() as editor:
            editor.create_model(Task)
            editor.create_model(Event)
        _make_flushable()


def _make_flushable() -> None:
    """Drop the test database's foreign keys if the server cannot disable them, as Django does to flush tables."""
    if connection.vendor != "microsoft":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@VERSION")
        if "Babelfish" not in cursor.fetchone()[0]:
            return
        cursor.execute("SELECT OBJECT_NAME(parent_object_id), name FROM sys.foreign_keys")
        for table, name in cursor.fetchall():
            cursor.execute(f"ALTER TABLE [{table}] DROP CONSTRAINT [{name}]")


class API:
    """A client that sends requests as one user, or anonymously if there is no user."""

    def __init__(self, user_id: int | None = None, *, is_staff: bool = False) -> None:
        self._client = Client(raise_request_exception=False)
        self._identity = {} if user_id is None else {"user_id": user_id, "is_staff": is_staff}

    def __call__(self, method: str, path: str, body: str = "") -> Any:
        # Each request gets a new token, since the tests change the clock.
        headers = bearer(**self._identity) if self._identity else {}
        content_type = "application/json" if body else ""
        return self._client.generic(method, path, body, content_type=content_type, headers=headers)


@pytest.fixture
def staff() -> API:
    return API(1, is_staff=True)


@pytest.fixture
def anonymous() -> API:
    return API()


def note_request(record: logging.LogRecord) -> bool:
    """Store in the record the request id of its log line; a filter for caplog's handler."""
    record.of_request = request_id()
    return True


def make_run(**values: Any) -> Run:
    """Store a run, by default one of the report that succeeded, with these values, and return it."""
    slot, state = values.get("slot", SLOT), values.get("state", "succeeded")
    started = state in ("running", "succeeded", "failed")
    defaults = {
        "job": "report-user-tasks",
        "slot": slot,
        "state": state,
        "turn": turn_of(state, slot),
        "started_at": slot + SECOND,
        "finished_at": slot + 2 * SECOND,
        "outcome": "3 of 3 tasks" if state == "succeeded" else "",
        "attempts": int(started),
        "holder": "a-holder" if started else "",
        "lease": int(started),
        "request_id": "0" * 32,
    }
    return Run.objects.create(**{**defaults, **values})
