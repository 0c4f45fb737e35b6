"""The HTTP contract: status, headers and bodies."""

import datetime

import pytest
import time_machine

from jobs.models import Run
from tests.conftest import MINUTE, SECOND, SLOT, make_run

pytestmark = pytest.mark.django_db

RUN = {
    "job": "report-user-tasks",
    "slot": "2026-01-31T09:30:00.000000Z",
    "state": "succeeded",
    "started_at": "2026-01-31T09:30:01.000000Z",
    "finished_at": "2026-01-31T09:30:02.000000Z",
    "outcome": "3 tasks",
    "attempts": 1,
}


@time_machine.travel(SLOT + MINUTE - SECOND, tick=False)
def test_jobs_before_the_first_run(staff, django_assert_num_queries):
    with django_assert_num_queries(1):
        response = staff("GET", "/api/jobs")

    assert response.status_code == 200
    assert response.json() == [
        {
            "name": "report-user-tasks",
            "description": "Prints every task of one user.",
            "schedule": "* * * * *",
            "last_run": None,
            "next_due": "2026-01-31T09:31:00.000000Z",
        }
    ]


def test_jobs_show_the_run_of_the_newest_slot(staff, django_assert_num_queries):
    # An old slot that was taken up again late is not the last one.
    make_run(slot=SLOT - MINUTE, started_at=SLOT + MINUTE, finished_at=SLOT + 2 * MINUTE)
    run = make_run()
    make_run(slot=SLOT - 2 * MINUTE)
    make_run(job="another", slot=SLOT + MINUTE)

    with django_assert_num_queries(1):
        response = staff("GET", "/api/jobs")

    assert [job["last_run"] for job in response.json()] == [{"id": run.id, **RUN}]


def test_running_run_has_neither_end_nor_outcome(staff):
    run = make_run(state="running", outcome="", attempts=2)

    response = staff("GET", f"/api/jobs/runs/{run.id}")

    assert response.status_code == 200
    changes = {"state": "running", "finished_at": None, "outcome": None, "attempts": 2}
    assert response.json() == {"id": run.id, **RUN, **changes}


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


def test_runs_of_no_job(staff):
    response = staff("GET", "/api/jobs/runs?job=report-user-tasks")
    assert (response.status_code, response.json(), response.has_header("Link")) == (200, [], False)


@pytest.mark.parametrize(
    ("query", "field"), [("job=nothing", "job"), ("job=", "job"), ("limit=0", "limit"), ("before=x", "before")]
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
