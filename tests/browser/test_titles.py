"""Any title that the API accepts fits on any screen."""

import pytest
from playwright.sync_api import expect

from browser.console import Console


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("title", ["x" * 200, "شراء الخبز والحليب", "🧵" * 100], ids=["unbroken", "rtl", "emoji"])
def test_any_title_fits_the_page(desk: Console, title: str, width: int) -> None:
    desk.page.set_viewport_size({"width": width, "height": 800})
    desk.add(title)
    desk.page.reload()
    expect(desk.rows).to_have_count(1)

    assert desk.page.evaluate("document.documentElement.scrollWidth") <= width
    direction = desk.page.locator("#tasks-list .title").evaluate("element => getComputedStyle(element).direction")
    assert direction == ("rtl" if title[0] == "ش" else "ltr")


def test_markup_in_a_title_is_text(desk: Console) -> None:
    title = "<img src=x onerror=alert(1)>&amp;"
    desk.add(title)
    desk.page.reload()
    expect(desk.rows).to_have_count(1)

    assert desk.titles() == [title]
