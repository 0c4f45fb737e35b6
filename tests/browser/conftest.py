"""A running stack, and a browser: the machine's own Chromium or Chrome."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from support.stack import LocalStack, Stack, running_stack

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Nothing is asked of any other host, and CI runs as root in a container.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with running_stack(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert program, "no browser: install chromium, or name one: make test-browser CHROMIUM=/path/to/chrome"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A page on which nothing may go wrong unseen: errors, refusals by the policy, questions to other hosts."""
    page = browser.new_page(viewport={"width": 1200, "height": 1400})
    wrong: list[str] = []
    ours = (f"{stack.url}/", "data:")
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    # Chromium reports each refusal of the API's, and one test asks for a 401.
    page.on(
        "console",
        lambda message: (
            wrong.append(message.text)
            if message.type in ("error", "warning") and "status of 401" not in message.text
            else None
        ),
    )
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith(ours) else None)
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " event => console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))"
    )
    yield page
    page.close()
    assert not wrong
