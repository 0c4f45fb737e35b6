"""The checks of /readyz, each of which fails independently of the others, and the health of jobs."""

import datetime
import socket
import time
from types import SimpleNamespace

import pytest
import time_machine
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from jobs import health
from jobs.models import RelayLease
from jobs.schedule import DELETE_OLD_RUNS, REPORT_USER_TASKS
from jobs.selectors import job_runs
from servicekit.http import health as shared_health
from servicekit.http.health import NotReady
from servicekit.process import redis_client
from tests.conftest import MINUTE, SECOND, SLOT, make_run

pytestmark = pytest.mark.django_db

CHECKS = {"database": "ok", "redis": "ok", "beat": "ok", "relay": "ok", "webhooks": "ok"}


@pytest.fixture
def redis_up(monkeypatch):
    """Redis is available."""
    monkeypatch.setattr(shared_health, "_redis", lambda: SimpleNamespace(ping=lambda: True))


@pytest.fixture
def redis_socket(settings, tmp_path):
    """The path of REDIS_URL's socket, on which no server listens."""
    path = str(tmp_path / "redis.sock")
    settings.REDIS_URL = f"unix://{path}"
    shared_health._redis.cache_clear()
    yield path
    shared_health._redis().close()
    shared_health._redis.cache_clear()


@pytest.fixture
def started(monkeypatch):
    """The process started at the slot."""
    monkeypatch.setattr(health, "_started_at", SLOT)


def checks(response) -> dict[str, str]:
    assert response.status_code == (200 if response.json()["checks"] == CHECKS else 503)
    return response.json()["checks"]


def test_all_well(anonymous, redis_up, started):
    make_run(slot=SLOT + 5 * MINUTE)
    saw_relay(SLOT + 6 * MINUTE)
    with time_machine.travel(SLOT + 5 * MINUTE + 89 * SECOND), CaptureQueriesContext(connection) as queries:
        response = anonymous("GET", "/readyz")
    assert (response.status_code, checks(response)) == (200, CHECKS)
    # One for each check of the database's content and three for webhooks; two and four for the measures. Whether the
    # database is writable is a PRAGMA on SQLite, and a property of the database on SQL Server.
    assert len([query for query in queries if not query["sql"].startswith(("PRAGMA", "SELECT CAST"))]) == 12


def test_redis_unavailable(anonymous, redis_socket):
    response = anonymous("GET", "/readyz")
    assert checks(response) == {**CHECKS, "redis": "does not respond"}
    assert redis_socket not in response.text


def test_redis_frozen_is_waited_for_once(anonymous, redis_socket, monkeypatch):
    monkeypatch.setattr(redis_client, "TIMEOUT_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(redis_socket)
        frozen.listen()
        started = time.monotonic()
        response = anonymous("GET", "/readyz")
        took = time.monotonic() - started
    assert checks(response) == {**CHECKS, "redis": "does not respond"}
    assert 0.2 <= took < 0.4


def saw_relay(at: datetime.datetime) -> None:
    RelayLease.objects.create(id=1, holder="a", beats=1, seen_at=at)


@pytest.mark.parametrize(("after", "result"), [(90, "ok"), (91, "has not ticked for 90 s")])
def test_first_tick_has_90_s_from_the_start(anonymous, redis_up, started, after, result):
    make_run(slot=SLOT - 60 * MINUTE)
    saw_relay(SLOT + after * SECOND)
    with time_machine.travel(SLOT + after * SECOND, tick=False):
        assert checks(anonymous("GET", "/readyz")) == {**CHECKS, "beat": result}


@pytest.mark.parametrize(("after", "result"), [(90, "ok"), (91, "has not ticked for 90 s")])
@pytest.mark.parametrize("values", [{}, {"state": "queued"}, {"state": "failed"}])
def test_last_tick_is_not_older_than_90_s(anonymous, redis_up, started, after, result, values):
    last = SLOT + 60 * MINUTE
    make_run(slot=last, **values)
    saw_relay(last + after * SECOND)
    with time_machine.travel(last + after * SECOND, tick=False):
        assert checks(anonymous("GET", "/readyz")) == {**CHECKS, "beat": result}


@pytest.mark.parametrize("values", [{"state": "missed"}, {"requested_by": 7}, {"slot": SLOT + 120 * MINUTE}])
def test_what_is_no_tick_or_lies_ahead_does_not_count(anonymous, redis_up, started, values):
    now = SLOT + 60 * MINUTE
    make_run(**{"slot": now - MINUTE, **values})
    saw_relay(now)
    with time_machine.travel(now, tick=False):
        assert checks(anonymous("GET", "/readyz"))["beat"] == "has not ticked for 90 s"


def test_tick_counts_beside_one_that_lies_ahead(anonymous, redis_up, started):
    now = SLOT + 60 * MINUTE
    make_run(slot=now)
    make_run(slot=now + 120 * MINUTE)
    saw_relay(now)
    with time_machine.travel(now, tick=False):
        assert checks(anonymous("GET", "/readyz")) == CHECKS


def test_start_by_a_clock_that_was_set_back_gives_no_time(anonymous, redis_up, started):
    now = SLOT - 120 * MINUTE
    saw_relay(now)
    with time_machine.travel(now, tick=False):
        assert checks(anonymous("GET", "/readyz"))["beat"] == "has not ticked for 90 s"
        make_run(slot=now)
        assert checks(anonymous("GET", "/readyz")) == CHECKS


@pytest.mark.parametrize(
    ("seen", "result"),
    [(0, "ok"), (30, "ok"), (31, "has not run for 30 s"), (-5, "ok"), (-6, "has not run for 30 s")],
)
def test_relay_was_seen_in_the_last_30_s_and_not_in_the_future(anonymous, redis_up, started, seen, result):
    now = SLOT + 60 * MINUTE
    make_run(slot=now)
    saw_relay(now - seen * SECOND)
    with time_machine.travel(now, tick=False):
        assert checks(anonymous("GET", "/readyz")) == {**CHECKS, "relay": result}


def test_measures(anonymous, redis_up, started):
    make_run(state="queued", slot=SLOT + 50 * SECOND)
    make_run(state="queued", job="another", slot=SLOT + 40 * SECOND)
    make_run(state="running")
    saw_relay(SLOT + 59 * SECOND)
    with time_machine.travel(SLOT + MINUTE, tick=False):
        measures = anonymous("GET", "/readyz").json()["measures"]
    assert {name: value for name, value in measures.items() if "run" in name or "relay" in name} == {
        "queued_runs": 2,
        "oldest_queued_run_seconds": 20,
        "relay_lag_seconds": 1,
    }


@pytest.mark.parametrize("check", [health.check_beat, health.check_relay])
def test_unavailable_database_is_not_waited_for_twice(monkeypatch, django_assert_num_queries, check):
    """An attempt to connect takes up to 3 s, and the gateway does not wait long enough for two."""
    monkeypatch.setattr(health, "connection", SimpleNamespace(connection=None))
    with django_assert_num_queries(0), pytest.raises(NotReady, match="is unknown without the database"):
        check()


def test_database_is_asked_first(anonymous, redis_up):
    assert list(anonymous("GET", "/readyz").json()["checks"]) == ["database", "redis", "beat", "relay", "webhooks"]


def test_database_lost_between_the_checks(anonymous, redis_up, monkeypatch):
    def lost(**arguments: object) -> None:
        raise OperationalError("no connection")

    monkeypatch.setattr(health, "last_tick", lost)
    assert checks(anonymous("GET", "/readyz")) == {**CHECKS, "beat": "is unknown without the database"}


def test_liveness_touches_nothing(anonymous, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert anonymous("GET", "/healthz").json() == {"status": "ok"}


class TestTrouble:
    """The trouble of a job in GET /api/jobs."""

    def trouble(self, *, job=REPORT_USER_TASKS, after=0 * SECOND) -> str | None:
        now = SLOT + after
        return health.trouble_of(job=job, runs=job_runs(names=[job.name], now=now)[job.name], now=now)

    def test_none(self, started):
        make_run()
        assert self.trouble(after=MINUTE) is None

    @pytest.mark.parametrize(
        ("values", "trouble"),
        [
            ({"state": "failed", "outcome": "Why."}, "The last run failed: Why."),
            ({"state": "missed", "outcome": "Why."}, "The last run was missed: Why."),
            ({"state": "failed", "outcome": "Why.", "requested_by": 7}, "The last run failed: Why."),
        ],
    )
    def test_last_run(self, started, values, trouble):
        make_run(**values)
        assert self.trouble() == trouble

    @pytest.mark.parametrize(("after", "trouble"), [(30, None), (31, "A run has been waiting for 31 s.")])
    def test_waiting(self, started, after, trouble):
        make_run(state="queued", requested_by=7)
        assert self.trouble(after=after * SECOND) == trouble

    def test_waiting_for_another_run_is_none(self, started):
        make_run(slot=SLOT - MINUTE, state="running")
        make_run(state="queued")
        assert self.trouble(after=2 * MINUTE) is None

    @pytest.mark.parametrize(("after", "silent"), [(150, False), (151, True)])
    def test_silence(self, started, after, silent):
        """A run is due a minute after the last slot, and has 90 s to start."""
        make_run()
        trouble = self.trouble(after=after * SECOND)
        assert trouble == ("Nothing has run since 2026-01-31 09:30 UTC." if silent else None)

    @pytest.mark.parametrize(("after", "silent"), [(90, False), (91, True)])
    def test_what_was_due_before_the_start_has_90_s(self, started, after, silent):
        make_run(slot=SLOT - 60 * MINUTE)
        assert (self.trouble(after=after * SECOND) is not None) is silent

    def test_job_of_an_hour_may_be_silent_for_one(self, started):
        make_run(job=DELETE_OLD_RUNS.name, slot=SLOT - 23 * MINUTE)
        assert self.trouble(job=DELETE_OLD_RUNS, after=38 * MINUTE) is None
        assert self.trouble(job=DELETE_OLD_RUNS, after=39 * MINUTE) is not None
