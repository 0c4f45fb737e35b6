import json

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from servicekit.http.health import NotReady, check_database, health_urls
from tests.urls import CHECKS, not_ready

NEXT = "/_readyz/scheduler"


@pytest.fixture
def checks(monkeypatch):
    """The checks of the example service; a test may replace them."""
    return lambda **replaced: [monkeypatch.setitem(CHECKS, name, check) for name, check in replaced.items()]


def test_healthz_runs_no_check(client, checks):
    checks(first=not_ready, second=not_ready)
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_names_every_check(client):
    response = client.get("/readyz")
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert response.json() == {"status": "ok", "service": "example", "checks": {"first": "ok", "second": "ok"}}


def test_measures_are_shown_where_a_service_has_them(rf):
    _, readyz = health_urls(service="example", checks={}, measures=lambda: {"waiting": 2, "lag_seconds": None})
    response = readyz.callback(rf.get("/readyz"))
    assert json.loads(response.content) == {
        "status": "ok",
        "service": "example",
        "checks": {},
        "measures": {"waiting": 2, "lag_seconds": None},
    }


def test_database_lost_after_its_check_leaves_no_measures(rf):
    def lost() -> dict[str, float | None]:
        raise OperationalError("no route to host")

    _, readyz = health_urls(service="example", checks={}, measures=lost)
    response = readyz.callback(rf.get("/readyz"))
    assert (response.status_code, json.loads(response.content)) == (
        200,
        {"status": "ok", "service": "example", "checks": {}},
    )


def test_not_ready_is_a_503_problem_that_names_what_fails(client, checks):
    checks(second=not_ready)
    response = client.get("/readyz")
    body = response.json()
    assert (response.status_code, response["Content-Type"]) == (503, "application/problem+json")
    assert response["Retry-After"] == "2"
    assert list(body) == ["type", "title", "status", "detail", "instance", "request_id", "service", "checks"]
    assert (body["type"], body["status"], body["instance"]) == ("/problems/service-unavailable", 503, "/readyz")
    assert body["detail"] == "example: second does not respond."
    assert (body["service"], body["checks"]) == ("example", {"first": "ok", "second": "does not respond"})


@pytest.mark.parametrize(
    ("replaced", "state"),
    [
        ({}, {"status": "ok", "checks": {"first": "ok", "second": "ok"}}),
        (
            {"second": not_ready},
            {
                "status": "unavailable",
                "detail": "example: second does not respond.",
                "checks": {"first": "ok", "second": "does not respond"},
            },
        ),
    ],
)
def test_the_gateway_reads_the_state_in_a_header(client, checks, replaced, state):
    checks(**replaced)
    assert json.loads(client.get("/readyz")["X-Readyz"]) == state


def test_all_checks_run_where_the_first_fails(client, checks):
    checks(first=not_ready, second=not_ready)
    assert client.get("/readyz").json()["detail"] == "example: first does not respond; second does not respond."


def test_what_fails_is_logged_with_its_cause(client, checks, records):
    def unavailable() -> None:
        raise NotReady("does not respond") from OperationalError("no route to host")

    checks(first=unavailable)
    client.get("/readyz")
    warnings = [record for record in records() if record["level"] == "WARNING"]
    assert [(record["check"], record["reason"]) for record in warnings] == [("first", "does not respond")]
    assert "no route to host" in warnings[0]["exc_info"]


def test_ready_sends_the_gateway_on_to_the_next_service(client):
    assert client.get("/readyz", headers={"X-Readyz-Next": NEXT})["X-Accel-Redirect"] == NEXT


@pytest.mark.parametrize(
    "following", ["", "/", "/_readyz/", "/_readyz/a/b", "/_readyz/../api", "/api/tasks", f"{NEXT}\n", f" {NEXT}"]
)
def test_nothing_else_can_redirect_the_gateway(client, following):
    assert "X-Accel-Redirect" not in client.get("/readyz", HTTP_X_READYZ_NEXT=following)


def test_not_ready_sends_the_gateway_nowhere(client, checks):
    checks(first=not_ready)
    assert "X-Accel-Redirect" not in client.get("/readyz", headers={"X-Readyz-Next": NEXT})


@pytest.mark.django_db(transaction=True)
def test_database_that_answers_is_ready():
    MigrationRecorder(connection).ensure_schema()
    check_database(MigrationRecorder.Migration)()
    with connection.schema_editor() as editor:
        editor.delete_model(MigrationRecorder.Migration)


@pytest.mark.django_db
def test_database_that_fails_is_not_ready_and_its_words_do_not_show():
    def fail(*args):
        raise OperationalError("secret@host is unavailable")

    with connection.execute_wrapper(fail), pytest.raises(NotReady, match=r"^does not respond$") as reason:
        check_database(MigrationRecorder.Migration)()
    assert isinstance(reason.value.__cause__, OperationalError)


@pytest.mark.django_db
def test_database_without_the_services_table_is_not_ready():
    assert "django_migrations" not in connection.introspection.table_names()
    with pytest.raises(NotReady):
        check_database(MigrationRecorder.Migration)()


@pytest.mark.django_db(transaction=True)
def test_database_that_takes_no_writes_leaves_the_service_degraded(rf, monkeypatch):
    def refuse(connection: object) -> None:
        raise OperationalError("secret: database or disk is full")

    monkeypatch.setattr("servicekit.http.health.check_writes", refuse)
    MigrationRecorder(connection).ensure_schema()
    _, readyz = health_urls(service="example", checks={"database": check_database(MigrationRecorder.Migration)})
    response = readyz.callback(rf.get("/readyz", headers={"X-Readyz-Next": NEXT}))
    with connection.schema_editor() as editor:
        editor.delete_model(MigrationRecorder.Migration)
    assert (response.status_code, response["X-Accel-Redirect"]) == (200, NEXT)
    assert json.loads(response.content) == {
        "status": "degraded",
        "service": "example",
        "checks": {"database": "accepts no writes"},
    }
