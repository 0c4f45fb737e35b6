"""The tab that most tests share, one after another: creating a browser profile takes longer than most tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import BrowserContext, Page

WIDE = {"width": 1280, "height": 800}


class SharedTab:
    """A tab that is reset for each test to the state of a new profile, except for the cache."""

    def __init__(self, new_profile: Callable[[], BrowserContext], url: str) -> None:
        # Set if a test has changed something that cannot be undone.
        self.spoiled = False
        self._new_profile = new_profile
        self._url = url
        self._page: Page | None = None

    @contextmanager
    def lend(self) -> Iterator[Page]:
        """Lend the tab to a test; reset it afterwards, or discard it if the test failed."""
        if self._page is None:
            self._page = self._new_profile().new_page()
            self._reset_storage(self._page)
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
        self._reset_storage(page)

    def _reset_storage(self, page: Page) -> None:
        # A page of the same origin, without a script that could store something again.
        page.goto(f"{self._url}/healthz")
        page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        page.context.clear_cookies()
