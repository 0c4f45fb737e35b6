"""Print as JSON the CPU time in microseconds of one creation in the service, with and without its event.

The argument is an access token. Rounds of both alternate, so that drift of the machine affects them equally.
"""

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

from django.db import connection, transaction

from tasks import raw_sql
from tasks_service.wsgi import application

ROUNDS = 20
REQUESTS = 100
BODY = json.dumps({"title": "Task", "duration": 5}).encode()


def create() -> None:
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


def change_without_event(sql: str, parameters: list[Any], **_: Any) -> Any:
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()


def microseconds() -> float:
    started = time.process_time()
    for _ in range(REQUESTS):
        create()
    return (time.process_time() - started) / REQUESTS * 1e6


recorded = raw_sql._change_and_record
rounds: dict[str, list[float]] = {"with": [], "without": []}
for _ in range(ROUNDS + 1):
    for name, change in (("with", recorded), ("without", change_without_event)):
        with mock.patch.object(raw_sql, "_change_and_record", change):
            rounds[name].append(microseconds())
# The first round warms up.
print(json.dumps({name: statistics.median(values[1:]) for name, values in rounds.items()}))
