"""Each state of the pages, on a wide screen and a phone, light and dark: no axe-core violations, no overflow.

The screenshots are in var/screenshots, for review.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from browser.conftest import PHONE, session_of
from browser.console import Console, keep_session
from browser.tab import WIDE
from support.accounts import Account
from support.paths import CHECKOUT
from support.stack import LocalStack

SCREENSHOTS = CHECKOUT / "var/screenshots"
# WCAG 2.2 at level AA, and axe's best practices.
RULES = {"resultTypes": ["violations"]}
VIOLATIONS = """
async rules => (await axe.run(rules)).violations.map(({ id, nodes }) => [id, nodes.map(node => node.html)])
"""

Look = Callable[[Page, str], None]


@pytest.fixture
def page(page: Page) -> Page:
    page.emulate_media(reduced_motion="reduce")
    return page


@pytest.fixture
def look() -> Look:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    def look(page: Page, state: str) -> None:
        for size in (PHONE, WIDE):
            page.set_viewport_size(size)
            for scheme in ("dark", "light"):
                page.emulate_media(color_scheme=scheme)
                page.screenshot(path=SCREENSHOTS / f"{state}-{scheme}-{size['width']}.png")
                assert not violations(page), state
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], f"{state} is too wide"

    return look


def violations(page: Page) -> list[list[object]]:
    """Return each violated rule with the elements that violate it."""
    # Half a megabyte of script, so loaded only once per document.
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    return page.evaluate(VIOLATIONS, RULES)


@contextmanager
def held(page: Page, path: str) -> Iterator[None]:
    """Withhold the response to a request, as on a slow connection."""
    page.route(f"**{path}", lambda _: None)
    yield
    page.unroute(f"**{path}")


def test_the_way_in(console: Console, look: Look) -> None:
    console.open()
    expect(console.box("Username")).to_be_visible()
    look(console.page, "welcome")
    console.button("Create account").click()
    expect(console.alert).to_have_count(2)
    look(console.page, "welcome-refused")


def test_the_tasks(desk: Console, look: Look, stack: LocalStack) -> None:
    page = desk.page
    look(page, "tasks-empty")
    with held(page, "/api/tasks"):
        page.reload()
        expect(page.locator("#tasks-skeleton")).to_be_visible()
        look(page, "tasks-loading")
    page.reload()
    desk.loaded()
    desk.button("Add task").click()
    expect(desk.alert).to_have_count(2)
    look(page, "tasks-refused")
    for title in ("Write the report", "x" * 200, "شراء الخبز والحليب", "Water the plants", "Call the bank"):
        desk.add(title)
    look(page, "tasks-added")
    page.reload()
    expect(desk.button("Load more")).to_be_visible()
    look(page, "tasks-full")
    desk.rows.first.get_by_role("button", name="Delete").click()
    expect(desk.button("Undo")).to_be_visible()
    look(page, "tasks-undo")
    desk.button("Undo").click()
    desk.rows.first.get_by_role("button", name="Rename").click()
    box = desk.rows.first.get_by_role("textbox", name="Title")
    box.fill("Call the bank at ten")
    look(page, "tasks-renaming")
    [task] = stack.call("GET", "/api/tasks?limit=1", token=desk.access()).json()
    stack.call("PATCH", f"/api/tasks/{task['id']}", token=desk.access(), json={"title": "Write to the bank"})
    box.press("Enter")
    expect(desk.button("Use yours")).to_be_visible()
    look(page, "tasks-conflict")


def test_without_a_connection(desk: Console, look: Look) -> None:
    desk.page.context.set_offline(True)
    desk.box("Title").fill("From the train")
    desk.button("Add task").click()
    expect(desk.alert).to_contain_text("You are offline.")
    look(desk.page, "offline")
    desk.page.context.set_offline(False)


def test_a_list_that_fails(desk: Console, look: Look) -> None:
    """The only mocked response, since the API cannot be made to fail on request."""
    body = '{"type":"/problems/internal-server-error","title":"Internal Server Error","status":500}'
    desk.page.route(
        "**/api/tasks", lambda route: route.fulfill(status=500, content_type="application/problem+json", body=body)
    )
    desk.page.reload()
    expect(desk.alert).to_contain_text("Internal Server Error")
    look(desk.page, "tasks-failed")

    desk.page.unroute("**/api/tasks")
    desk.button("Try again").click()

    expect(desk.page.get_by_text("No tasks yet.")).to_be_visible()


def test_the_sessions(desk: Console, look: Look) -> None:
    desk.button("Sessions").click()
    expect(desk.page.get_by_text("this session", exact=True)).to_be_visible()
    desk.page.locator("#sessions").scroll_into_view_if_needed()
    look(desk.page, "sessions")


@pytest.mark.parametrize(("path", "state"), [("/nothing/here", "404"), ("/problems", "problems")])
def test_the_pages_that_are_only_read(page: Page, stack: LocalStack, look: Look, path: str, state: str) -> None:
    page.goto(stack.url + path)
    look(page, state)


def test_the_jobs(console: Console, staff: Account, look: Look) -> None:
    keep_session(console.page, session_of(staff))
    console.open()
    console.button("Jobs").click()
    expect(console.page.get_by_text("report-user-tasks").first).to_be_visible()
    console.page.get_by_text("Recent runs as a table").first.click()
    console.page.locator("#jobs").scroll_into_view_if_needed()
    look(console.page, "jobs")


def test_the_webhooks(desk: Console, look: Look, stack: LocalStack) -> None:
    page = desk.page
    for webhook in stack.call("GET", "/api/webhooks", token=desk.access()).json():
        stack.call("DELETE", f"/api/webhooks/{webhook['id']}", token=desk.access())
    desk.button("Webhooks").click()
    expect(page.get_by_text("No webhooks yet.")).to_be_visible()
    page.locator("#webhooks").scroll_into_view_if_needed()
    look(page, "webhooks-empty")
    # Nothing listens on this port.
    desk.box("URL").fill("http://127.0.0.1:65500/hook")
    desk.button("Add webhook").click()
    expect(page.get_by_text("whsec_")).to_be_visible()
    page.locator("#webhooks").scroll_into_view_if_needed()
    look(page, "webhooks-secret")
    desk.button("I have saved it").click()
    desk.button("Send test").click()
    expect(page.get_by_text("The connection failed")).to_be_visible(timeout=15_000)
    page.locator("#webhooks").scroll_into_view_if_needed()
    look(page, "webhooks-full")
    desk.button("Remove").click()
    expect(page.get_by_text("No webhooks yet.")).to_be_visible()
