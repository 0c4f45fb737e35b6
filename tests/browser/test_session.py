"""The life of a session: across reloads, in several tabs, beyond the five minutes of a token, until it ends."""

import re
import time
from collections.abc import Callable

import jwt
import pytest
import requests
from playwright.sync_api import BrowserContext, Request, Route, expect

from browser.conftest import PHONE, profile_of
from browser.console import Console
from support.accounts import PASSWORD, register
from support.stack import LocalStack
from support.tokens import make_token


@pytest.fixture
def calls(on_request: Callable[[Callable[[Request], None]], None]) -> list[str]:
    """A list of the page's API requests, complete once the page has settled."""
    calls: list[str] = []

    def note(request: Request) -> None:
        if "/api/" in request.url:
            calls.append(f"{request.method} {request.url.partition('/api')[2]}")

    on_request(note)
    return calls


def expired(stack: LocalStack, token: str) -> str:
    """Return the token as if it had been issued ten minutes earlier."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return make_token(stack.secret, **{**claims, "iat": claims["iat"] - 600, "exp": claims["exp"] - 600})


@pytest.mark.usefixtures("screen")
def test_a_person_creates_an_account_logs_out_and_logs_in(console: Console, name: str) -> None:
    console.enter(name)
    expect(console.page.get_by_text(name, exact=True)).to_be_visible()

    console.button("Log out").click()
    expect(console.status).to_contain_text("You are logged out.")
    expect(console.heading("Tasks")).to_be_hidden()
    assert console.session() is None

    console.log_in(name.upper())
    expect(console.page.get_by_text(name, exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("username", "password", "message"),
    [
        ("", PASSWORD, "may not be blank"),
        ("a b", PASSWORD, "letters, digits"),
        ("short", "1234567", "at least 8 characters"),
        ("common", "password1234", "common"),
    ],
)
def test_an_account_that_is_refused_says_why_beside_the_field(
    console: Console, username: str, password: str, message: str
) -> None:
    console.open()
    console.box("Username").fill(username)
    console.box("Password").fill(password)
    console.button("Create account").click()

    expect(console.alert).to_contain_text(message)
    expect(console.page.locator("[aria-invalid=true]")).to_be_focused()


def test_a_wrong_password_is_said_and_after_several_the_seconds_are_counted_down(console: Console, name: str) -> None:
    console.open()
    # Wrong passwords for a name without an account count too.
    console.box("Username").fill(name)
    console.box("Password").fill(PASSWORD)
    console.button("Log in").click()
    expect(console.alert).to_contain_text("No active account")
    # After five, the wait is a second and doubles: on a busy machine the first ones end before the next click.
    for _ in range(10):
        expect(console.page.locator("#welcome-form")).to_have_attribute("aria-busy", "false")
        if "Too many" in console.alert.inner_text():
            break
        console.button("Log in").click()

    expect(console.alert).to_contain_text(re.compile(r"Too many attempts\. Try again in \d+ s\."))
    expect(console.page.get_by_role("timer")).to_have_attribute("aria-live", "off")
    expect(console.alert).to_have_count(0)
    console.button("Create account").click()
    expect(console.heading("Tasks")).to_be_visible()


def test_wrong_passwords_of_others_do_not_delay_a_browser_that_was_logged_in(
    console: Console, stack: LocalStack, name: str
) -> None:
    console.enter(name)
    console.button("Log out").click()
    expect(console.box("Username")).to_be_visible()
    guess = {"username": name, "password": "a guess from the same address"}
    statuses = [requests.post(f"{stack.url}/api/auth/token", json=guess, timeout=30).status_code for _ in range(14)]
    assert statuses[-1] == 429

    console.log_in(name)

    expect(console.page.get_by_text(name, exact=True)).to_be_visible()


def test_a_reload_does_not_log_out_and_needs_one_call(console: Console, calls: list[str], name: str) -> None:
    console.enter(name)
    calls.clear()

    console.page.reload()
    console.loaded()

    expect(console.page.get_by_text(name, exact=True)).to_be_visible()
    assert calls == ["GET /tasks"]


def test_a_token_that_expired_unnoticed_is_renewed_in_the_middle_of_the_work(
    console: Console, stack: LocalStack, calls: list[str], name: str
) -> None:
    console.enter(name)
    console.change_session(access=expired(stack, console.access()))
    calls.clear()

    console.add("Right in the middle")

    assert calls == ["POST /tasks", "POST /auth/token/refresh", "POST /tasks"]
    expect(console.rows).to_have_count(1)
    assert stack.call("GET", "/api/tasks", token=console.access()).status_code == 200


@pytest.mark.usefixtures("spoils_tab")
def test_a_token_is_renewed_before_its_end_while_the_page_is_looked_at(
    console: Console, calls: list[str], name: str
) -> None:
    console.enter(name)
    console.box("Title").fill("A draft")
    before = console.session()
    console.page.clock.install()
    calls.clear()
    console.page.reload()
    console.loaded()
    console.box("Title").fill("A draft")

    with console.page.expect_response(lambda response: "refresh" in response.url):
        console.page.clock.fast_forward("05:00")
    expect(console.box("Title")).to_have_value("A draft")
    assert console.session()["access"] != before["access"]
    assert calls == ["GET /tasks", "POST /auth/token/refresh"]


def test_the_ring_shows_what_is_left_of_the_five_minutes(console: Console, name: str) -> None:
    console.enter(name)
    now = int(time.time() * 1000)
    console.change_session(since=now - 150_000, until=now + 150_000)
    console.page.reload()
    console.loaded()

    offset = float(
        console.page.locator("#ring").evaluate("ring => parseFloat(getComputedStyle(ring).strokeDashoffset)")
    )
    assert offset == pytest.approx(0.5, abs=0.05)


def test_two_tabs_renew_at_once_and_both_go_on(
    new_context: Callable[..., BrowserContext], stack: LocalStack, name: str
) -> None:
    """Tabs of one process share storage immediately; between processes a value may arrive after the lock's release."""
    context = new_context(**profile_of(stack, register(stack, name)))
    first = Console(page=context.new_page(), url=stack.url)
    first.open()
    with context.expect_page() as opened:
        first.page.evaluate("open(location.href)")
    tabs = [first, Console(page=opened.value, url=stack.url)]
    for tab in tabs:
        tab.loaded()
    tabs[0].change_session(access=expired(stack, tabs[0].access()))
    renewals: list[Route] = []
    context.route("**/token/refresh", lambda route: renewals.append(route))

    with context.expect_event("request", lambda request: "refresh" in request.url):
        for tab in tabs:
            tab.page.evaluate("document.getElementById('sessions-toggle').click()")
    # One of the tabs renews, and the other waits.
    tabs[0].page.wait_for_function("async () => (await navigator.locks.query()).pending.length === 1")
    renewals[0].continue_()

    for tab in tabs:
        expect(tab.page.get_by_text("this session", exact=True)).to_be_visible()
    assert len(renewals) == 1
    for title, tab in zip("ab", tabs, strict=True):
        tab.add(title)
    assert len(stack.call("GET", "/api/tasks", token=tabs[0].access()).json()) == 2


def test_two_tabs_without_locks_between_them_do_not_lose_the_session(
    new_context: Callable[..., BrowserContext], stack: LocalStack, name: str
) -> None:
    """As on a page from another machine over plain HTTP, where browsers provide no locks."""
    context = new_context(**profile_of(stack, register(stack, name)))
    context.add_init_script("delete Navigator.prototype.locks")
    tabs = [Console(page=context.new_page(), url=stack.url) for _ in range(2)]
    for tab in tabs:
        tab.open()
        tab.loaded()
    tabs[0].change_session(access=expired(stack, tabs[0].access()))
    renewals: list[Route] = []

    def send_together(route: Route) -> None:
        renewals.append(route)
        if len(renewals) == len(tabs):
            for renewal in renewals:
                renewal.continue_()

    context.route("**/token/refresh", send_together)
    for tab in tabs:
        tab.page.evaluate("document.getElementById('sessions-toggle').click()")

    for tab in tabs:
        expect(tab.page.get_by_text("this session", exact=True)).to_be_visible()
    [first, second] = [renewal.request.post_data for renewal in renewals]
    assert first == second


def test_logging_out_in_one_tab_logs_out_in_the_other(
    new_context: Callable[..., BrowserContext], stack: LocalStack, name: str
) -> None:
    context = new_context(**profile_of(stack, register(stack, name)))
    one, other = (Console(page=context.new_page(), url=stack.url) for _ in range(2))
    for tab in (one, other):
        tab.open()
        tab.loaded()
    one.add("Only mine to see")
    other.page.reload()
    expect(other.row("Only mine to see")).to_be_visible()

    one.button("Log out").click()

    expect(other.box("Username")).to_be_visible()
    expect(other.page.get_by_text("Only mine to see")).to_have_count(0)


def test_logging_out_ends_the_session_on_the_server(console: Console, stack: LocalStack, name: str) -> None:
    console.enter(name)
    refresh = console.session()["refresh"]
    with console.page.expect_response(lambda response: "logout" in response.url) as response:
        console.button("Log out").click()

    assert response.value.status == 204
    assert stack.call("POST", "/api/auth/token/refresh", json={"refresh": refresh}).status_code == 401


def test_a_session_that_was_ended_elsewhere_is_said_and_the_draft_stays(
    console: Console, stack: LocalStack, name: str
) -> None:
    console.enter(name)
    console.box("Title").fill("A long title")
    stack.call("DELETE", "/api/auth/sessions", token=console.access())
    console.change_session(access=expired(stack, console.access()))
    console.box("Duration (minutes)").fill("5")
    console.button("Add task").click()

    expect(console.alert.filter(has_text="Your session has ended.")).to_be_visible()
    console.log_in(name)
    expect(console.box("Title")).to_have_value("A long title")


def test_the_draft_of_one_person_is_not_for_the_next(console: Console, stack: LocalStack, name: str) -> None:
    console.enter(name)
    console.box("Title").fill("Private")
    stack.call("DELETE", "/api/auth/sessions", token=console.access())
    console.change_session(access=expired(stack, console.access()))
    console.button("Sessions").click()
    expect(console.box("Username")).to_be_visible()

    console.enter(f"{name}-other")

    expect(console.box("Title")).to_have_value("")


@pytest.mark.usefixtures("screen")
def test_sessions_are_listed_and_each_can_be_ended(
    console: Console, new_context: Callable[..., BrowserContext], stack: LocalStack, name: str
) -> None:
    console.enter(name)
    login = stack.call(
        "POST",
        "/api/auth/token",
        json={"username": name, "password": PASSWORD},
        headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
    ).json()

    console.button("Sessions").click()
    sessions = console.page.get_by_role("list", name="Sessions").get_by_role("listitem")
    expect(sessions).to_have_count(2)
    expect(sessions.filter(has_text="this session")).to_contain_text("Chrome on Linux")
    firefox = sessions.filter(has_text="Firefox on Linux")
    expect(firefox).to_contain_text("127.0.0.1")
    firefox.get_by_role("button", name="End").click()

    expect(console.status).to_contain_text("Session ended.")
    expect(sessions).to_have_count(1)
    assert stack.call("POST", "/api/auth/token/refresh", json={"refresh": login["refresh"]}).status_code == 401

    console.button("End all sessions").click()
    expect(console.box("Username")).to_be_visible()
    expect(console.alert).to_contain_text("logged out everywhere")


@pytest.mark.usefixtures("screen")
def test_the_password_is_changed_and_what_is_wrong_is_said(console: Console, stack: LocalStack, name: str) -> None:
    console.enter(name)
    console.button("Sessions").click()
    console.box("Current password").fill("not this one at all")
    console.box("New password").fill("another horse, another staple")
    console.button("Change password").click()
    expect(console.alert).to_contain_text("not the current password")

    console.box("Current password").fill(PASSWORD)
    console.button("Change password").click()

    expect(console.status).to_contain_text("Password changed.")
    expect(console.box("New password")).to_have_value("")
    console.button("Log out").click()
    console.log_in(name, password="another horse, another staple")


def test_a_part_that_was_open_is_open_after_a_reload(console: Console, name: str) -> None:
    console.enter(name)
    console.page.set_viewport_size(PHONE)
    console.button("Sessions").click()
    expect(console.page.get_by_text("this session", exact=True)).to_be_visible()

    console.page.reload()

    expect(console.page.get_by_text("this session", exact=True)).to_be_in_viewport()


def test_everything_is_done_by_keyboard_alone(console: Console, name: str) -> None:
    console.open()
    keyboard = console.page.keyboard
    console.page.locator("body").press("Tab")
    expect(console.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    console.box("Username").focus()
    keyboard.type(name)
    keyboard.press("Tab")
    keyboard.type(PASSWORD)
    keyboard.press("Tab")
    keyboard.press("Tab")
    expect(console.button("Create account")).to_be_focused()
    keyboard.press("Enter")
    console.loaded()

    console.box("Title").focus()
    keyboard.type("By hand")
    keyboard.press("Tab")
    keyboard.type("5")
    keyboard.press("Enter")
    expect(console.row("By hand")).to_be_visible()
    for _ in range(3):
        keyboard.press("Tab")
    expect(console.button("Rename")).to_be_focused()
    keyboard.press("Enter")
    keyboard.type("By keyboard")
    keyboard.press("Enter")
    expect(console.row("By keyboard")).to_be_visible()
    keyboard.press("Tab")
    expect(console.button("Delete")).to_be_focused()
    keyboard.press("Enter")
    expect(console.rows).to_have_count(0)
    keyboard.press("Control+z")
    expect(console.row("By keyboard")).to_be_visible()
    expect(console.button("Delete")).to_be_focused()
