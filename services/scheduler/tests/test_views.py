"""The HTTP contract of jobs and runs: status codes, headers and bodies."""

import datetime

import pytest
import time_machine

from jobs import health
from jobs.models import RelayLease, Run
from tests.conftest import MINUTE, SECOND, SLOT, make_run

pytestmark = pytest.mark.django_db

RUN = {
    "job": "report-user-tasks",
    "slot": "2026-01-31T09:30:00.000000Z",
    "state": "succeeded",
    "started_at": "2026-01-31T09:30:01.000000Z",
    "finished_at": "2026-01-31T09:30:02.000000Z",
    "outcome": "3 of 3 tasks",
    "attempts": 1,
    "progress": None,
    "requested_by": None,
}
IDLE = {"length": 0, "oldest_seconds": None, "relay_lag_seconds": None}


@pytest.fixture(autouse=True)
def started(monkeypatch):
    """The process started at the slot."""
    monkeypatch.setattr(health, "_started_at", SLOT)


@time_machine.travel(SLOT + MINUTE - SECOND, tick=False)
def test_jobs_before_the_first_run(staff, django_assert_num_queries):
    # The runs, and the relay's lease.
    with django_assert_num_queries(2):
        response = staff("GET", "/api/jobs")

    assert response.status_code == 200
    assert response.json() == [
        {
            "name": "report-user-tasks",
            "description": "Prints the newest tasks of one user.",
            "schedule": "* * * * *",
            "last_run": None,
            "next_due": "2026-01-31T09:31:00.000000Z",
            "healthy": True,
            "trouble": None,
            "queue": IDLE,
        },
        {
            "name": "delete-old-runs",
            "description": "Deletes the runs that are older than RUNS_KEPT_DAYS.",
            "schedule": "7 * * * *",
            "last_run": None,
            "next_due": "2026-01-31T10:07:00.000000Z",
            "healthy": True,
            "trouble": None,
            "queue": IDLE,
        },
    ]


@time_machine.travel(SLOT + MINUTE, tick=False)
def test_jobs_show_the_run_of_the_newest_slot(staff, django_assert_num_queries):
    # Neither an old slot that was resumed late nor one in the future is the last one.
    make_run(slot=SLOT - MINUTE, started_at=SLOT + MINUTE, finished_at=SLOT + 2 * MINUTE)
    run = make_run()
    make_run(slot=SLOT - 2 * MINUTE)
    make_run(slot=SLOT + 120 * MINUTE)
    make_run(job="another", slot=SLOT + MINUTE)

    with django_assert_num_queries(2):
        response = staff("GET", "/api/jobs")

    assert [job["last_run"] for job in response.json()] == [{"id": run.id, **RUN}, None]


@time_machine.travel(SLOT + MINUTE, tick=False)
def test_jobs_show_what_waits_and_what_is_wrong(staff):
    make_run(state="queued", slot=SLOT + 20 * SECOND, requested_by=7)
    RelayLease.objects.create(id=1, holder="a", beats=1, seen_at=SLOT + 59 * SECOND)

    report, delete = staff("GET", "/api/jobs").json()

    assert report["queue"] == {"length": 1, "oldest_seconds": 40, "relay_lag_seconds": 1}
    assert (report["healthy"], report["trouble"]) == (False, "A run has been waiting for 40 s.")
    assert (delete["healthy"], delete["trouble"]) == (True, None)


NOT_BEGUN = {"started_at": None, "finished_at": None, "attempts": 0}


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"state": "queued", "requested_by": 7}, {**NOT_BEGUN, "outcome": None, "requested_by": 7}),
        ({"state": "running", "attempts": 2}, {"finished_at": None, "outcome": None, "attempts": 2}),
        ({"state": "running", "done": 5, "total": 9}, {"finished_at": None, "outcome": None, "progress": [5, 9]}),
        ({"state": "running", "done": 5}, {"finished_at": None, "outcome": None, "progress": [5, None]}),
        ({"state": "failed", "outcome": "Why."}, {"outcome": "Why."}),
        ({"state": "missed", "outcome": "Why."}, {**NOT_BEGUN, "outcome": "Why."}),
    ],
)
def test_run_shows_what_its_state_has(staff, values, shown):
    run = make_run(**values)
    if "progress" in shown:
        shown = {**shown, "progress": dict(zip(("done", "total"), shown["progress"], strict=True))}

    response = staff("GET", f"/api/jobs/runs/{run.id}")

    assert response.status_code == 200
    assert response.json() == {"id": run.id, **RUN, "state": values["state"], **shown}


class TestRequest:
    PATH = "/api/jobs/report-user-tasks/runs"

    @pytest.mark.parametrize("path", [PATH, f"{PATH}/"])
    def test_queues_a_run(self, staff, path):
        with time_machine.travel(SLOT + SECOND, tick=False):
            response = staff("POST", path)
        run = Run.objects.get()
        assert (response.status_code, response["Location"]) == (202, f"/api/jobs/runs/{run.id}")
        changes = {**NOT_BEGUN, "slot": "2026-01-31T09:30:01.000000Z", "state": "queued", "outcome": None}
        assert response.json() == {"id": run.id, **RUN, **changes, "requested_by": 1}
        assert run.request_id == response["X-Request-ID"]

    def test_never_speaks_to_the_broker(self, staff):
        """In the tests' settings, no broker is available."""
        assert staff("POST", self.PATH).status_code == 202

    def test_takes_a_look_and_an_insert(self, staff, django_assert_num_queries):
        with django_assert_num_queries(4):
            staff("POST", self.PATH)

    @pytest.mark.parametrize("state", ["queued", "running"])
    def test_is_409_while_a_run_is_active(self, staff, state):
        make_run(state=state)
        response = staff("POST", self.PATH)
        assert (response.status_code, response["Content-Type"]) == (409, "application/problem+json")
        assert response.json()["type"] == "/problems/conflict"
        assert response.json()["detail"] == "A run of this job is queued or running."
        assert Run.objects.count() == 1

    @pytest.mark.parametrize("path", ["/api/jobs/nothing/runs", "/api/jobs/runs/runs"])
    def test_of_no_job_is_404(self, staff, path):
        assert staff("POST", path).status_code == 404

    def test_empty_object_is_a_body(self, staff):
        assert staff("POST", self.PATH, "{}").status_code == 202

    @pytest.mark.parametrize(("body", "field"), [('{"now": true}', "now"), ("[]", "body"), ("5", "body")])
    def test_other_body_is_400(self, staff, body, field):
        response = staff("POST", self.PATH, body)
        assert (response.status_code, list(response.json()["errors"])) == (400, [field])
        assert not Run.objects.exists()

    def test_other_methods_are_405(self, staff):
        response = staff("GET", self.PATH)
        assert (response.status_code, response["Allow"]) == (405, "POST, OPTIONS")


def test_run_takes_one_statement(staff, django_assert_num_queries):
    run = make_run()
    with django_assert_num_queries(1):
        assert staff("GET", f"/api/jobs/runs/{run.id}/").json() == {"id": run.id, **RUN}


@pytest.mark.parametrize("run_id", ["0", "1", "9223372036854775807", "9223372036854775808", "9999999999999999999"])
def test_missing_run_is_404(staff, run_id):
    response = staff("GET", f"/api/jobs/runs/{run_id}")
    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


def test_runs_are_newest_slot_first_and_twenty(staff, django_assert_num_queries):
    for number in range(21):
        make_run(slot=SLOT + number * MINUTE)

    with django_assert_num_queries(1):
        response = staff("GET", "/api/jobs/runs")

    slots = [run["slot"] for run in response.json()]
    assert len(slots) == 20
    assert slots == sorted(slots, reverse=True)
    assert slots[0] == "2026-01-31T09:50:00.000000Z"


def test_pages_follow_each_other_to_the_end(staff):
    made = [make_run(slot=SLOT + number * MINUTE).id for number in range(5)]
    for number in range(5):
        make_run(job="another", slot=SLOT + number * MINUTE)

    path, seen = "/api/jobs/runs?job=report-user-tasks&limit=2", []
    for _ in range(3):
        response = staff("GET", path)
        seen += [run["id"] for run in response.json()]
        path = response.get("Link", "").removeprefix("<").removesuffix('>; rel="next"')

    assert (seen, path) == (made[::-1], "")


def test_runs_of_every_job_share_a_slot_without_loss(staff):
    for job in ("a", "b", "c"):
        make_run(job=job)

    first = staff("GET", "/api/jobs/runs?limit=2")
    path = first["Link"].removeprefix("<").removesuffix('>; rel="next"')
    second = staff("GET", path)

    assert [run["job"] for run in first.json() + second.json()] == ["c", "b", "a"]


@pytest.mark.parametrize(("query", "expected"), [("state=failed", [2, 1]), ("state=failed&job=report-user-tasks", [1])])
def test_runs_in_one_state(staff, query, expected):
    made = [
        make_run(),
        make_run(slot=SLOT + MINUTE, state="failed"),
        make_run(job="b", slot=SLOT + 2 * MINUTE, state="failed"),
    ]
    response = staff("GET", f"/api/jobs/runs?{query}")
    assert [run["id"] for run in response.json()] == [made[number].id for number in expected]


def test_pages_keep_their_filters(staff):
    for number in range(3):
        make_run(slot=SLOT + number * MINUTE, state="failed")
    link = staff("GET", "/api/jobs/runs?state=failed&job=report-user-tasks&limit=1")["Link"]
    assert "job=report-user-tasks" in link
    assert "state=failed" in link


def test_runs_of_no_job(staff):
    response = staff("GET", "/api/jobs/runs?job=report-user-tasks")
    assert (response.status_code, response.json(), response.has_header("Link")) == (200, [], False)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("job=nothing", "job"),
        ("job=", "job"),
        ("state=done", "state"),
        ("state=", "state"),
        ("limit=0", "limit"),
        ("before=x", "before"),
    ],
)
def test_bad_query_is_400_that_names_the_parameter(staff, query, field):
    response = staff("GET", f"/api/jobs/runs?{query}")
    assert (response.status_code, list(response.json()["errors"])) == (400, [field])


@pytest.mark.parametrize("path", ["/api/jobs", "/api/jobs/runs", "/api/jobs/runs/1"])
def test_other_methods_are_405(staff, path):
    response = staff("POST", path)
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_times_are_utc_whatever_the_row_says(staff):
    berlin = datetime.timezone(datetime.timedelta(hours=1))
    run = make_run(slot=SLOT.astimezone(berlin))
    assert Run.objects.get().slot == SLOT
    assert staff("GET", f"/api/jobs/runs/{run.id}").json()["slot"] == RUN["slot"]
