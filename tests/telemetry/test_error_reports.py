"""A defect is reported to SENTRY_DSN with its request's id, without data written by or identifying a user."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.accounts import Account, register
from support.jobs import request_run
from support.stack import LocalStack, running_stack
from support.telemetry import ReportReceiver, running
from support.waiting import wait_until

REPORTED_WITHIN_SECONDS = 30
NAME, TITLE, DAMAGE, BROWSER = "ada-of-reports", "a title of hers", "a time of hers", "a-browser-of-hers"


@pytest.fixture(scope="module")
def receiver() -> Iterator[ReportReceiver]:
    with running(ReportReceiver()) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def stack(receiver: ReportReceiver, state: Path) -> Iterator[LocalStack]:
    with running_stack(state, SENTRY_DSN=receiver.dsn) as running:
        yield running


@pytest.fixture(scope="module")
def ada(stack: LocalStack, state: Path) -> Account:
    """User 1, with a task that no service can return: its time is malformed."""
    account = register(stack, NAME)
    stack.call("POST", "/api/tasks", token=account.access, json={"title": TITLE, "duration": 30})
    with closing(sqlite3.connect(state / "db.sqlite3", timeout=10)) as database, database:
        assert database.execute("UPDATE tasks_task SET created_at = ?", [DAMAGE]).rowcount == 1
    return account


def wait_for_report(receiver: ReportReceiver, request_id: str) -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        return [report for report in receiver.reports if report["tags"]["request_id"] == request_id]

    (report,) = wait_until(found, timeout=REPORTED_WITHIN_SECONDS, what=lambda: f"{request_id}: {receiver.reports}")
    return report


def test_defect_of_a_service_is_reported_with_the_id_of_its_request(
    stack: LocalStack, receiver: ReportReceiver, ada: Account
) -> None:
    headers = {"User-Agent": BROWSER, "Cookie": "session=of-hers"}
    response = stack.call("GET", "/api/tasks?limit=7", token=ada.access, headers=headers)
    assert response.status_code == 500, response.text

    report = wait_for_report(receiver, response.headers["X-Request-ID"])

    assert report["tags"]["part"] == "tasks"
    frames = report["exception"]["values"][-1]["stacktrace"]["frames"]
    assert "tasks/views.py" in [frame["filename"] for frame in frames]
    # The log contains the rest under the same id.
    entries = stack.wait_for_entries(report["tags"]["request_id"], count=2, timeout=REPORTED_WITHIN_SECONDS)
    assert [entry["level"] for entry in entries if "exc_info" in entry] == ["ERROR"]


def test_defect_of_a_job_is_reported_with_the_id_of_the_request_for_it(
    stack: LocalStack, receiver: ReportReceiver, ada: Account, forge: Callable[..., str]
) -> None:
    response = request_run(stack, "report-user-tasks", token=forge(is_staff=True))

    report = wait_for_report(receiver, response.headers["X-Request-ID"])

    assert report["tags"]["part"] == "worker"
    frames = report["exception"]["values"][-1]["stacktrace"]["frames"]
    assert "jobs/report.py" in [frame["filename"] for frame in frames]


def test_no_report_holds_what_a_user_wrote_or_what_identifies_one(receiver: ReportReceiver, ada: Account) -> None:
    everything = b"".join(receiver.envelopes).decode()
    assert everything.count('"request_id"') >= 2
    for word in (NAME, TITLE, DAMAGE, BROWSER, "of-hers", "limit=7", "127.0.0.1", "user_id", ada.access):
        assert word not in everything
