"""The comparison of ended sessions with those announced in Redis; the project's tests/e2e use a real Redis."""

import datetime
import logging
import uuid

import pytest
import redis
from django.utils import timezone
from time_machine import TimeMachineFixture

from accounts.sessions import announcements
from accounts.sessions.announcements import Announcer, announce_missing, remove_expired
from accounts.sessions.models import EndedSession
from servicekit.process.redis_client import connect

NOON = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)

pytestmark = pytest.mark.django_db


def end(minutes: float = 5) -> str:
    """Store an ended session whose access token expires in this many minutes, and return its id."""
    row = EndedSession.objects.create(session_id=uuid.uuid4(), expires_at=timezone.now() + minutes * MINUTE)
    return str(row.session_id)


def test_announces_what_redis_does_not_know_and_nothing_else(announced: list[str]) -> None:
    first = end()
    announce_missing(connect())
    second = end()
    end(-0.01)
    announce_missing(connect())
    assert announced == [first, second]


def test_announces_everything_again_after_redis_lost_it(announced: list[str]) -> None:
    sessions = {end(), end()}
    announce_missing(connect())
    announced.clear()
    announce_missing(connect())
    assert set(announced) == sessions


def test_does_not_ask_redis_while_no_session_has_ended() -> None:
    """No Redis listens in these tests."""
    announce_missing(connect())
    end()
    with pytest.raises(redis.RedisError):
        announce_missing(connect())


def test_keeps_expired_rows_for_a_day_for_a_clock_that_runs_ahead(time_machine: TimeMachineFixture) -> None:
    time_machine.move_to(NOON, tick=False)
    end()
    for hours, left in ((24, 1), (24.1, 0)):
        time_machine.move_to(NOON + datetime.timedelta(hours=hours), tick=False)
        remove_expired()
        assert EndedSession.objects.count() == left


def test_warns_once_while_redis_is_unavailable(
    caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    caplog.set_level(logging.INFO, logger="accounts.sessions")
    announcer = Announcer()
    session = end()
    for _ in range(3):
        announcer.announce()
    announced = request.getfixturevalue("announced")
    for _ in range(3):
        announcer.announce()
    assert announced == [session]
    assert caplog.messages == ["ended sessions not announced", "ended sessions announced again"]
    assert not caplog.records[0].exc_info


def test_a_defect_is_logged_and_ends_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise the thread would have exited permanently."""
    monkeypatch.setattr(announcements, "announced_sessions", lambda client: 1 / 0)
    end()
    Announcer().announce()
    [record] = caplog.records
    assert (record.message, bool(record.exc_info)) == ("announcement of ended sessions is broken", True)


def test_a_defect_that_begins_during_an_outage_is_logged_as_well(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    announcer = Announcer()
    end()
    announcer.announce()
    monkeypatch.setattr(announcements, "announced_sessions", lambda client: 1 / 0)
    for _ in range(2):
        announcer.announce()
    assert caplog.messages == ["ended sessions not announced", "announcement of ended sessions is broken"]
