"""The staff's section: jobs, their runs, and the state of the system."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, expect

from browser.conftest import profile_of
from browser.console import Console
from support.accounts import Account
from support.stack import LocalStack


@pytest.fixture
def person(staff: Account) -> Account:
    return staff


@pytest.fixture
def jobs(console: Console) -> Console:
    console.open()
    console.button("Jobs").click()
    expect(console.page.get_by_text("report-user-tasks").first).to_be_visible()
    return console


@pytest.mark.usefixtures("screen")
def test_each_job_has_its_schedule_its_runs_and_a_chart(jobs: Console, stack: LocalStack, staff: Account) -> None:
    [job] = [
        job for job in stack.call("GET", "/api/jobs", token=staff.access).json() if job["name"] == "report-user-tasks"
    ]
    row = jobs.page.get_by_role("list", name="Jobs").get_by_role("listitem").filter(has_text="report-user-tasks")

    expect(row).to_contain_text(job["schedule"])
    expect(row.get_by_text("Next run")).to_be_visible()
    expect(row.get_by_role("img", name="Duration of the recent runs")).to_be_visible()
    row.get_by_text("Recent runs as a table").click()
    expect(row.get_by_role("columnheader", name="State")).to_be_visible()


def test_the_state_of_each_part_is_what_readyz_says(jobs: Console, stack: LocalStack) -> None:
    parts = jobs.page.get_by_role("list", name="Parts of the system").get_by_role("listitem")
    expect(parts.filter(has_text="scheduler")).to_contain_text("ready")
    expect(parts.filter(has_text="scheduler")).to_contain_text(re.compile(r"queued runs \d+, .*relay lag [\d.]+ m?s"))

    with stack.frozen_redis():
        jobs.button("Jobs").click()
        jobs.button("Jobs").click()
        expect(parts.filter(has_text=re.compile("redis does not respond")).first).to_be_visible()
        expect(parts.filter(has_text="scheduler")).to_contain_text("unavailable")


def test_who_is_not_staff_sees_no_jobs(
    new_context: Callable[..., BrowserContext], stack: LocalStack, resident: Account
) -> None:
    console = Console(page=new_context(**profile_of(stack, resident)).new_page(), url=stack.url)
    console.page.goto(f"{stack.url}/#jobs")
    console.loaded()

    expect(console.heading("Sessions")).to_be_visible()
    expect(console.heading("Jobs")).to_be_hidden()


@pytest.mark.usefixtures("screen")
def test_a_job_is_run_now_and_followed_to_its_end(jobs: Console) -> None:
    row = jobs.page.get_by_role("list", name="Jobs").get_by_role("listitem").filter(has_text="report-user-tasks")
    row.get_by_role("button", name="Run now").click()

    expect(jobs.status).to_contain_text("Run succeeded.", timeout=15_000)
    expect(row.get_by_role("button", name="Run now")).to_be_focused()


def test_a_second_run_while_one_waits_is_refused_and_said(jobs: Console, stack: LocalStack) -> None:
    row = jobs.page.get_by_role("list", name="Jobs").get_by_role("listitem").filter(has_text="report-user-tasks")
    button = row.get_by_role("button", name="Run now")
    [worker] = [part for part in stack.parts("scheduler_service") if "worker" in part.cmdline()]
    worker.suspend()
    try:
        button.click()
        expect(jobs.status).to_contain_text("Run queued.")
        expect(row).to_contain_text("queued")
        button.click()
        expect(jobs.status).to_contain_text("A run of this job is queued or running.")
    finally:
        worker.resume()
    expect(jobs.status).to_contain_text("Run succeeded.", timeout=20_000)
