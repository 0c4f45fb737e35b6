"""Print as JSON the CPU time in microseconds of one creation in the service, with and without its event.

The argument is an access token. Rounds of both alternate, so that drift of the machine affects them equally.
"""

import datetime
import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock
from wsgiref.util import setup_testing_defaults

import django

django.setup()

from servicekit.database.sqlite.base import Batch
from tasks import raw_sql
from tasks.models import new_version
from tasks_service.wsgi import application

ROUNDS = 20
REQUESTS = 100
BODY = json.dumps({"title": "Task", "duration": 5}).encode()


def post() -> None:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/api/tasks",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(BODY)),
        "HTTP_AUTHORIZATION": f"Bearer {sys.argv[1]}",
        "wsgi.input": io.BytesIO(BODY),
    }
    setup_testing_defaults(environ)
    assert application(environ, start_response)


def start_response(status: str, _headers: Any, _exc_info: Any = None, /) -> Callable[[bytes], object]:
    assert status.startswith("201"), status
    return lambda _: None


WITHOUT_EVENT = Batch(raw_sql.CREATE["sqlite"].partition(";")[0])


def create_without_event(*, owner_id: int, title: str, duration: int, now: datetime.datetime) -> raw_sql.TaskRow:
    at = raw_sql._bound(now)
    row = raw_sql._first(WITHOUT_EVENT, [owner_id, title, duration, new_version(), at, at])
    assert row is not None
    return raw_sql.TaskRow(row[0], title, duration, 1, now, now)


def microseconds() -> float:
    started = time.process_time()
    for _ in range(REQUESTS):
        post()
    return (time.process_time() - started) / REQUESTS * 1e6


rounds: dict[str, list[float]] = {"with": [], "without": []}
create_with_event = raw_sql.create
for _ in range(ROUNDS + 1):
    for name, create in (("with", create_with_event), ("without", create_without_event)):
        with mock.patch.object(raw_sql, "create", create):
            rounds[name].append(microseconds())
# The first round warms up.
print(json.dumps({name: statistics.median(values[1:]) for name, values in rounds.items()}))
