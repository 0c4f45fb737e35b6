"""The health check of the worker's container, on lists of Redis clients; tests/containers uses a real Redis."""

import os
import subprocess
import sys

import pytest

from scheduler_service.consuming import LONGEST_SILENCE_SECONDS, is_consuming
from tests.conftest import ROOT

WORKER = {"name": "celery@this", "cmd": "brpop", "idle": "1"}
OTHER_CONNECTION = {"name": "celery@this", "cmd": "evalsha", "idle": "0"}
OTHER_WORKER = {"name": "celery@other", "cmd": "brpop", "idle": "0"}


@pytest.mark.parametrize(
    ("clients", "consumes"),
    [
        ([OTHER_CONNECTION, WORKER], True),
        # All processes of the worker are busy.
        ([{**WORKER, "idle": str(LONGEST_SILENCE_SECONDS)}], True),
        ([{**WORKER, "idle": str(LONGEST_SILENCE_SECONDS + 1)}], False),
        ([OTHER_CONNECTION, OTHER_WORKER], False),
        ([], False),
    ],
    ids=["waits", "busy", "silent", "another worker's", "no client"],
)
def test_a_worker_consumes_when_a_connection_of_its_waits_for_messages(clients, consumes):
    assert is_consuming(clients, name="celery@this") is consumes


def test_without_redis_it_says_so():
    done = subprocess.run(
        [sys.executable, "-m", "scheduler_service.consuming"],
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": "unix:///nonexistent/redis.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "Redis does not respond: ConnectionError\n")
