"""The copy of the ended sessions without Redis; tests/e2e of the whole project has the tests with it."""

import logging
import os
import time

import pytest
import redis

from servicekit.process.redis_client import connect
from servicekit.tokens import revocation
from servicekit.tokens.revocation import announce_ended_sessions, is_ended

SESSION = "6f1c5b0e-2f4b-4a39-9a3f-5d6f0f4c8f11"


@pytest.fixture(autouse=True)
def no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "_copy", None)


def test_without_redis_every_session_goes_on_and_the_first_request_waits_once() -> None:
    started = time.monotonic()
    assert not is_ended(SESSION)
    assert time.monotonic() - started < revocation.FIRST_COPY_SECONDS + 0.3
    started = time.monotonic()
    assert not any(is_ended(SESSION) for _ in range(1000))
    assert time.monotonic() - started < 0.1


def test_without_redis_there_is_one_warning(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(revocation, "RENEW_SECONDS", 0.01)
    is_ended(SESSION)
    warnings = [record for record in caplog.records if record.name == "servicekit.tokens.revocation"]
    assert [(record.levelno, record.message) for record in warnings] == [(logging.WARNING, "ended sessions unknown")]


def test_an_announcement_that_redis_does_not_take_is_an_error() -> None:
    with pytest.raises(redis.RedisError):
        announce_ended_sessions(connect(), {SESSION: time.time() + 60})


def test_a_forked_process_makes_a_copy_of_its_own() -> None:
    is_ended(SESSION)
    inherited = revocation._copy
    assert inherited is not None
    inherited.process = os.getpid() + 1  # As in a child.
    is_ended(SESSION)
    assert revocation._copy is not inherited
