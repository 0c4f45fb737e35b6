"""The console as a user sees it, accessed by the names on the page."""

import dataclasses
import json
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

from support.accounts import PASSWORD

KEY = "task-api.session"


def storage(url: str, **session: Any) -> dict[str, Any]:
    """Return the storage of a browser profile with a logged-in user, in Playwright's format."""
    return {"origins": [{"origin": url, "localStorage": [{"name": KEY, "value": json.dumps(session)}]}]}


def keep_session(page: Page, session: dict[str, Any]) -> None:
    """Store a session in the browser, as a login does."""
    page.evaluate("([key, text]) => localStorage.setItem(key, text)", [KEY, json.dumps(session)])


@dataclasses.dataclass
class Console:
    """A page of the console."""

    page: Page
    url: str

    def open(self) -> None:
        self.page.goto(self.url)

    def box(self, name: str) -> Locator:
        return self.page.get_by_role("textbox", name=name)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name)

    def heading(self, name: str) -> Locator:
        return self.page.get_by_role("heading", name=name, exact=True)

    @property
    def alert(self) -> Locator:
        return self.page.get_by_role("alert")

    @property
    def status(self) -> Locator:
        return self.page.get_by_role("status")

    @property
    def rows(self) -> Locator:
        """The rows of tasks, without the grey placeholders."""
        return self.page.get_by_role("list", name="Tasks").get_by_role("listitem")

    def row(self, title: str) -> Locator:
        return self.rows.filter(has=self.page.get_by_text(title, exact=True))

    def titles(self) -> list[str]:
        return self.page.locator("#tasks-list .title").all_inner_texts()

    def enter(self, name: str, *, password: str = PASSWORD, by: str = "Create account") -> None:
        """Create an account or log in; wait for the tasks."""
        if urlsplit(self.page.url).path != "/":
            self.open()
        self.box("Username").fill(name)
        self.box("Password").fill(password)
        self.button(by).click()
        expect(self.heading("Tasks")).to_be_visible()
        self.loaded()

    def log_in(self, name: str, **arguments: Any) -> None:
        self.enter(name, by="Log in", **arguments)

    def loaded(self) -> None:
        expect(self.page.locator("#rest")).to_be_visible()

    def add(self, title: str, minutes: str = "5") -> None:
        self.box("Title").fill(title)
        self.box("Duration (minutes)").fill(minutes)
        self.button("Add task").click()
        expect(self.row(title).first).to_be_visible()

    def session(self) -> dict[str, Any] | None:
        return json.loads(self.page.evaluate(f"localStorage.getItem({KEY!r})") or "null")

    def change_session(self, **changes: Any) -> None:
        """Change the stored session, as time or another tab would."""
        keep_session(self.page, {**self.session(), **changes})

    def access(self) -> str:
        return self.session()["access"]
