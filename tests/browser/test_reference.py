"""/api/docs in a browser: a user with only this page registers, logs in and creates a task."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from browser.conftest import PHONE, session_of
from browser.console import Console, keep_session
from browser.test_session import expired
from support.accounts import PASSWORD, Account, register
from support.paths import CHECKOUT
from support.stack import LocalStack

SCREENSHOTS = CHECKOUT / "var/screenshots"
TOO_WIDE = """
[...document.querySelectorAll(".opblock")].filter(block => block.scrollWidth > innerWidth).map(block => block.id)
"""


@pytest.fixture
def reference(page: Page, stack: LocalStack) -> Page:
    page.goto(f"{stack.url}/api/docs")
    expect(page.locator(".opblock").first).to_be_visible()
    return page


def execute(page: Page, operation: str, body: str) -> Locator:
    """Open an operation and send the body; return the element that shows the response."""
    block = page.locator(f"[id$='-{operation}']")
    block.locator(".opblock-summary-control").click()
    block.locator("textarea.body-param__text").fill(body)
    block.get_by_role("button", name="Execute").click()
    response = block.locator(".live-responses-table .response")
    expect(response).to_be_visible()
    return response


def test_it_shows_every_operation_under_its_tag(reference: Page, stack: LocalStack) -> None:
    document = stack.call("GET", "/api/openapi.json").json()
    ids = [
        f"operations-{operation['tags'][0]}-{operation['operationId']}"
        for item in (*document["paths"].values(), *document["webhooks"].values())
        for operation in item.values()
    ]

    assert [block.get_attribute("id") for block in reference.locator(".opblock").all()] == ids
    expect(reference.locator(".opblock-tag")).to_have_count(len(document["tags"]))
    expect(reference.get_by_role("heading", name=re.compile("Task API"))).to_be_visible()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    reference.screenshot(path=SCREENSHOTS / "reference.png")


def test_a_new_user_registers_logs_in_authorizes_and_creates_a_task(reference: Page, stack: LocalStack) -> None:
    credentials = f'{{"username": "newcomer", "password": "{PASSWORD}"}}'
    registered = execute(reference, "register", credentials)
    expect(registered.locator(".response-col_status")).to_contain_text("201")
    pair = execute(reference, "logIn", credentials)
    expect(pair.locator(".response-col_status")).to_contain_text("200")
    token = re.search(r'"access": "([^"]+)"', pair.locator("pre").first.inner_text())[1]

    refused = execute(reference, "createTask", '{"title": "Too early", "duration": 5}')
    expect(refused.locator(".response-col_status")).to_contain_text("401")

    paste(reference, token)
    block = reference.locator("#operations-tasks-createTask")
    block.locator("textarea.body-param__text").fill('{"title": "From the page", "duration": 25}')
    block.get_by_role("button", name="Execute").click()
    response = block.locator(".live-responses-table .response")
    expect(response.locator(".response-col_status")).to_contain_text("201")
    expect(response).to_contain_text('"title": "From the page"')
    expect(response).to_contain_text("location: /api/tasks/")
    block.screenshot(path=SCREENSHOTS / "create-task.png")

    (task,) = stack.call("GET", "/api/tasks", token=token).json()
    assert (task["title"], task["duration"]) == ("From the page", 25)


def test_the_type_of_a_problem_leads_a_person_to_its_explanation(page: Page, stack: LocalStack) -> None:
    kind = stack.call("GET", "/api/tasks").json()["type"]

    page.goto(stack.url + kind)

    assert page.url == f"{stack.url}/problems#unauthorized"
    expect(page.locator("#unauthorized")).to_be_in_viewport()
    expect(page.locator("#unauthorized")).to_contain_text("Get new tokens")
    page.screenshot(path=Path(SCREENSHOTS, "problems.png"))


def paste(page: Page, token: str) -> None:
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".modal-ux")
    dialog.locator("input").fill(token)
    dialog.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").click()


def status_of(page: Page, operation: str) -> Locator:
    """Send an operation with its form's default values; return the element that shows the status."""
    block = page.locator(f"[id$='-{operation}']")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Execute").click()
    return block.locator(".live-responses-table .response .response-col_status")


def test_a_token_that_was_pasted_survives_a_reload_of_the_tab_and_no_more(
    reference: Page, stack: LocalStack, resident: Account
) -> None:
    paste(reference, resident.access)
    reference.reload()
    expect(reference.locator(".opblock").first).to_be_visible()
    expect(status_of(reference, "getMe")).to_contain_text("200")

    other = reference.context.new_page()
    other.goto(f"{stack.url}/api/docs")
    expect(other.locator(".opblock").first).to_be_visible()
    expect(status_of(other, "getMe")).to_contain_text("401")


def test_the_console_leads_to_the_reference_with_the_person_logged_in(page: Page, stack: LocalStack, name: str) -> None:
    keep_session(page, session_of(register(stack, name)))
    console = Console(page=page, url=stack.url)
    console.open()
    page.get_by_role("navigation").get_by_role("link", name="Reference").click()

    expect(page.get_by_text(f"Logged in as {name}")).to_be_visible()
    expect(status_of(page, "getMe")).to_contain_text("200")


def test_a_token_that_expired_on_the_reference_is_renewed(page: Page, stack: LocalStack, name: str) -> None:
    keep_session(page, session_of(register(stack, name)))
    console = Console(page=page, url=stack.url)
    page.goto(f"{stack.url}/api/docs")
    expect(page.locator(".opblock").first).to_be_visible()
    console.change_session(access=expired(stack, console.access()), until=0)
    page.reload()
    expect(page.locator(".opblock").first).to_be_visible()

    expect(status_of(page, "getMe")).to_contain_text("200")


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_it_follows_the_scheme_of_the_system(page: Page, stack: LocalStack, scheme: str, dark: bool) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{stack.url}/api/docs")
    expect(page.locator(".opblock").first).to_be_visible()
    page.screenshot(path=Path(SCREENSHOTS, f"reference-{scheme}.png"))

    assert page.evaluate("document.documentElement.classList.contains('dark-mode')") is dark
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) is dark


def without_most_problems(route: Route) -> None:
    """Omit all but a few error responses: each operation has about twenty alike, which take half a minute to render."""
    response = route.fetch()
    document = response.json()
    for item in document["paths"].values():
        for operation in item.values():
            responses = operation["responses"]
            operation["responses"] = {status: responses[status] for status in responses if status < "401"}
    route.fulfill(response=response, json=document)


def test_every_operation_that_is_opened_fits_a_phone(page: Page, stack: LocalStack) -> None:
    page.route("**/api/openapi.json", without_most_problems)
    page.set_viewport_size(PHONE)
    page.goto(f"{stack.url}/api/docs")
    expect(page.locator(".opblock").first).to_be_visible()
    operations = page.locator(".opblock").count()
    page.evaluate("document.querySelectorAll('.opblock-summary-control').forEach(control => control.click())")
    expect(page.locator(".opblock-body")).to_have_count(operations)

    # An element wider than the screen widens the page.
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_every_parameter_has_an_example(stack: LocalStack) -> None:
    document = stack.call("GET", "/api/openapi.json").json()
    parameters = {
        (path, method, parameter["name"]): parameter
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for parameter in operation.get("parameters", ())
    }

    assert parameters
    assert not [
        key
        for key, parameter in parameters.items()
        if not parameter.get("examples") and not parameter["schema"].get("examples")
    ]


def test_a_form_that_is_sent_as_it_is_filled_in_works(page: Page, stack: LocalStack, name: str) -> None:
    """The form contains the examples: none of them may make the request fail."""
    keep_session(page, session_of(register(stack, name)))
    page.goto(f"{stack.url}/api/docs")
    expect(page.locator(".opblock").first).to_be_visible()

    for operation, status in {"createTask": "201", "listTasks": "200"}.items():
        expect(status_of(page, operation)).to_contain_text(status)
