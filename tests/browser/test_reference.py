"""/api/docs in a browser: whoever has nothing but this page registers, logs in and creates a task."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from support.paths import CHECKOUT
from support.stack import Stack

PASSWORD = "correct horse battery staple"
SCREENSHOTS = CHECKOUT / "var/screenshots"


@pytest.fixture
def reference(page: Page, stack: Stack) -> Page:
    page.goto(f"{stack.url}/api/docs")
    expect(page.locator(".opblock").first).to_be_visible()
    return page


def execute(page: Page, operation: str, body: str) -> Locator:
    """Opens an operation, sends the body, and returns where the answer is shown."""
    block = page.locator(f"[id$='-{operation}']")
    block.locator(".opblock-summary-control").click()
    block.locator("textarea.body-param__text").fill(body)
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response")
    expect(answer).to_be_visible()
    return answer


def test_it_shows_every_operation_under_its_tag(reference: Page, stack: Stack) -> None:
    document = stack.call("GET", "/api/openapi.json").json()
    ids = [
        f"operations-{o['tags'][0]}-{o['operationId']}" for item in document["paths"].values() for o in item.values()
    ]

    assert [block.get_attribute("id") for block in reference.locator(".opblock").all()] == ids
    expect(reference.locator(".opblock-tag")).to_have_count(len(document["tags"]))
    expect(reference.get_by_role("heading", name=re.compile("Task API"))).to_be_visible()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    reference.screenshot(path=SCREENSHOTS / "reference.png")


def test_a_new_user_registers_logs_in_authorizes_and_creates_a_task(reference: Page, stack: Stack) -> None:
    credentials = f'{{"username": "newcomer", "password": "{PASSWORD}"}}'
    registered = execute(reference, "register", credentials)
    expect(registered.locator(".response-col_status")).to_contain_text("201")
    pair = execute(reference, "logIn", credentials)
    expect(pair.locator(".response-col_status")).to_contain_text("200")
    token = re.search(r'"access": "([^"]+)"', pair.locator("pre").first.inner_text())[1]

    refused = execute(reference, "createTask", '{"title": "Too early", "duration": 5}')
    expect(refused.locator(".response-col_status")).to_contain_text("401")

    reference.get_by_role("button", name="Authorize").first.click()
    dialog = reference.locator(".modal-ux")
    dialog.locator("input").fill(token)
    dialog.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").click()

    block = reference.locator("#operations-tasks-createTask")
    block.locator("textarea.body-param__text").fill('{"title": "From the page", "duration": 25}')
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response")
    expect(answer.locator(".response-col_status")).to_contain_text("201")
    expect(answer).to_contain_text('"title": "From the page"')
    expect(answer).to_contain_text("location: /api/tasks/")
    block.screenshot(path=SCREENSHOTS / "create-task.png")

    (task,) = stack.call("GET", "/api/tasks", token=token).json()
    assert (task["title"], task["duration"]) == ("From the page", 25)


def test_the_type_of_a_problem_leads_a_person_to_its_explanation(page: Page, stack: Stack) -> None:
    kind = stack.call("GET", "/api/tasks").json()["type"]

    page.goto(stack.url + kind)

    assert page.url == f"{stack.url}/problems#unauthorized"
    expect(page.locator("#unauthorized")).to_be_in_viewport()
    expect(page.locator("#unauthorized")).to_contain_text("Get new tokens")
    page.screenshot(path=Path(SCREENSHOTS, "problems.png"))


def test_the_first_page_leads_to_the_reference(page: Page, stack: Stack) -> None:
    page.goto(stack.url)
    page.get_by_role("link", name="reference").click()

    expect(page.locator(".opblock").first).to_be_visible()
