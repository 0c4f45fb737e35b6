import json
import logging

import pytest
import sentry_sdk
from sentry_sdk.transport import Transport

from servicekit.process.context import as_request
from servicekit.process.env import ConfigurationError
from servicekit.telemetry import error_reports

DSN = "https://key@reports.example/1"
REQUEST = "a" * 32

logger = logging.getLogger("jobs.run")


class Kept(Transport):
    """A transport that keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def capture_envelope(self, envelope) -> None:
        self.sent.append(envelope.serialize())


@pytest.fixture
def reports(monkeypatch):
    monkeypatch.setenv("SENTRY_DSN", DSN)
    error_reports.start("worker")
    client = sentry_sdk.get_client()
    before, client.transport = client.transport, Kept()
    before.kill()
    yield client.transport.sent
    sentry_sdk.init()


def fail(title: str) -> None:
    password = f"{title} as a local variable"
    try:
        raise LookupError(f"{password} in the text")
    except LookupError as error:
        raise ValueError("secret in another text") from error


def test_holds_types_lines_part_and_request_and_nothing_else(reports):
    with as_request(REQUEST):
        try:
            fail("secret")
        except ValueError:
            logger.exception("job failed", extra={"title": "secret as a field"})

    (sent,) = reports
    assert b"secret" not in sent
    report = json.loads(sent.splitlines()[2])
    assert report["tags"] == {"part": "worker", "request_id": REQUEST}
    errors = report["exception"]["values"]
    assert [error["type"] for error in errors] == ["LookupError", "ValueError"]
    lines = [frame for error in errors for frame in error["stacktrace"]["frames"]]
    assert {frame["function"] for frame in lines} == {
        "fail",
        "test_holds_types_lines_part_and_request_and_nothing_else",
    }
    assert {frame["filename"] for frame in lines} == {"tests/telemetry/test_error_reports.py"}
    assert set().union(*lines) <= {"filename", "function", "module", "lineno", "in_app"}
    assert set(report) <= {"event_id", "timestamp", "platform", "level", "logger", "sdk", "tags", "exception"}


def test_line_without_a_traceback_is_not_reported(reports):
    logger.error("keys unreadable", extra={"problem": "secret"})
    assert reports == []


def test_malformed_dsn_stops_the_start_and_is_not_shown(monkeypatch):
    monkeypatch.setenv("SENTRY_DSN", "https://secret")
    with pytest.raises(ConfigurationError, match=r"^SENTRY_DSN: is malformed$"):
        error_reports.start("worker")
