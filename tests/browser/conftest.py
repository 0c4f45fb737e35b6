"""A running stack and a browser: the machine's own Chromium or Chrome."""

import itertools
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from browser.console import Console, keep_session, storage
from browser.tab import WIDE, SharedTab
from support.accounts import PASSWORD, Account, register
from support.commands import output_of, run
from support.stack import LocalStack, running_stack

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# CI runs as root in a container, and no other host is contacted.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PHONE = {"width": 390, "height": 844}
# Long enough for a busy machine; expectations that already hold do not wait.
expect.set_options(timeout=15_000)
# Chromium logs every response with a status from 400 as an error; the tests check how a page handles one.
REFUSED = re.compile(r"Failed to load resource: (the server responded with a status of [45]\d\d|net::ERR_)")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    # The limit by address is tested elsewhere; here, all users share one address.
    with running_stack(tmp_path_factory.mktemp("state"), AUTH_RATE_LIMIT="1000") as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert program, "no browser: install chromium, or name one: make test-browser CHROMIUM=/path/to/chrome"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


def watched(browser: Browser, errors: list[str], **options: object) -> BrowserContext:
    """Create a browser profile; add its pages' errors, warnings and content policy violations to ``errors``."""
    context = browser.new_context(**{"viewport": WIDE, **options})
    context.set_default_timeout(15_000)
    context.on("weberror", lambda error: errors.append(f"error: {error.error}"))
    context.on(
        "console",
        lambda message: (
            errors.append(message.text)
            if message.type in ("error", "warning") and not REFUSED.match(message.text)
            else None
        ),
    )
    context.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " event => console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))"
    )
    return context


@pytest.fixture
def new_context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Return a function that creates browser profiles; at the end, fail if their pages logged errors."""
    errors: list[str] = []
    contexts: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        contexts.append(watched(browser, errors, **options))
        return contexts[-1]

    yield make
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture(scope="session")
def shared_errors() -> list[str]:
    """The errors in the shared tab."""
    return []


@pytest.fixture(scope="session")
def tab(browser: Browser, stack: LocalStack, shared_errors: list[str]) -> Iterator[SharedTab]:
    tab = SharedTab(lambda: watched(browser, shared_errors), stack.url)
    yield tab
    tab.close()


@pytest.fixture
def person(request: pytest.FixtureRequest) -> Account | None:
    """The account logged in on `page` when a test starts: the resident in a test that uses `desk`, else None."""
    return request.getfixturevalue("resident") if "desk" in request.fixturenames else None


@pytest.fixture
def page(tab: SharedTab, stack: LocalStack, person: Account | None, shared_errors: list[str]) -> Iterator[Page]:
    """A page that may log no errors and send no requests to other hosts."""
    shared_errors.clear()
    foreign: list[str] = []
    ours = (f"{stack.url}/", "data:")

    def note(request: Request) -> None:
        if not request.url.startswith(ours):
            foreign.append(request.url)

    with tab.lend() as page:
        if person:
            keep_session(page, session_of(person))
        page.on("request", note)
        yield page
        page.remove_listener("request", note)
    assert not shared_errors
    assert not foreign


@pytest.fixture
def on_request(page: Page) -> Iterator[Callable[[Callable[[Request], None]], None]]:
    """Return a function that adds a handler of the page's requests; it is removed at the end, as the page is reused."""
    handlers: list[Callable[[Request], None]] = []

    def call(handler: Callable[[Request], None]) -> None:
        page.on("request", handler)
        handlers.append(handler)

    yield call
    for handler in handlers:
        page.remove_listener("request", handler)


@pytest.fixture
def spoils_tab(tab: SharedTab) -> None:
    """For a test that installs a clock, which cannot be undone: the next test gets a tab in a new profile."""
    tab.spoiled = True


@pytest.fixture
def console(page: Page, stack: LocalStack) -> Console:
    """The console on a screen 1280 pixels wide; with `screen`, also on a phone."""
    return Console(page=page, url=stack.url)


@pytest.fixture(params=[WIDE, PHONE], ids=["wide", "phone"])
def screen(request: pytest.FixtureRequest, page: Page) -> dict[str, int]:
    page.set_viewport_size(request.param)
    return request.param


@pytest.fixture(scope="module")
def resident(stack: LocalStack) -> Account:
    """A user who stays logged in for a whole module, since checking passwords is slow by design."""
    return register(stack, f"resident-{next(_numbers)}")


@pytest.fixture(scope="session")
def staff(stack: LocalStack) -> Account:
    """A staff user, created as an operator creates one."""
    credentials = {"DJANGO_SUPERUSER_USERNAME": "grace", "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    output_of(run("make", "superuser", env=stack.environment | credentials))
    return Account(stack, user_id=0, username="grace", password=PASSWORD)


@pytest.fixture
def desk(console: Console, stack: LocalStack, resident: Account) -> Console:
    """The console of a logged-in user without tasks."""
    for task in stack.call("GET", "/api/tasks?limit=100", token=resident.access).json():
        stack.call("DELETE", f"/api/tasks/{task['id']}", token=resident.access)
    console.open()
    console.loaded()
    return console


def session_of(account: Account) -> dict[str, object]:
    """Return the session that the browser stores for a logged-in user."""
    now = int(time.time() * 1000)
    tokens = {"access": account.access, "refresh": account.refresh, "since": now, "until": now + 300_000}
    return {"username": account.username, **tokens}


def profile_of(stack: LocalStack, account: Account) -> dict[str, object]:
    """Return the options of a browser context in which the user is logged in."""
    return {"storage_state": storage(stack.url, **session_of(account))}


_numbers = itertools.count(1)


@pytest.fixture
def name() -> str:
    """A username that no test has used."""
    return f"person-{next(_numbers)}"
