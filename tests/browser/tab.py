"""The tab that most tests use, one after another: a new browser profile takes more time than most tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import BrowserContext, Page

WIDE = {"width": 1280, "height": 800}


class SharedTab:
    """A tab that each test finds as in a new profile, but for what the cache holds."""

    def __init__(self, new_profile: Callable[[], BrowserContext], url: str) -> None:
        # Whether a test has changed what cannot be changed back.
        self.spoiled = False
        self._new_profile = new_profile
        self._url = url
        self._page: Page | None = None

    @contextmanager
    def lent(self) -> Iterator[Page]:
        """Lend the tab to a test, and leave nothing of that to the next one."""
        if self._page is None:
            self._page = self._new_profile().new_page()
            self._leave(self._page)
        try:
            yield self._page
            self._clear(self._page)
        except BaseException:
            self.spoiled = True
            raise
        finally:
            if self.spoiled:
                self.close()

    def close(self) -> None:
        if self._page is not None:
            self._page.context.close()
        self._page, self.spoiled = None, False

    def _clear(self, page: Page) -> None:
        for other in page.context.pages:
            if other != page:
                other.close()
        page.unroute_all(behavior="ignoreErrors")
        page.context.set_offline(False)
        page.set_viewport_size(WIDE)
        page.emulate_media(color_scheme="light", reduced_motion="no-preference")
        page.mouse.move(0, 0)
        self._leave(page)

    def _leave(self, page: Page) -> None:
        # Of the same origin, and without a script that could store something again.
        page.goto(f"{self._url}/healthz")
        page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        page.context.clear_cookies()
