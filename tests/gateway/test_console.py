"""The pages at / and /problems: they run no script and load nothing."""

import base64
import hashlib
import re

import pytest

from support.gateway import Gateway
from support.http import assert_problem, assert_secured
from support.paths import CHECKOUT


@pytest.mark.parametrize("path", ["/", "/problems", "/problems/"])
def test_a_page_is_served_with_a_policy_that_allows_its_own_style_and_nothing_else(gateway: Gateway, path: str) -> None:
    response = gateway.request("GET", path)

    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"
    assert_secured(response)
    styles = re.findall(rb"<style>(.*?)</style>", response.body, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(style).digest()).decode() for style in styles]
    assert re.findall(r"style-src '(.*?)';", response.headers["Content-Security-Policy"]) == [f"sha256-{hashes[0]}"]
    assert not re.search(rb"<script|\son\w+=|\sstyle=|@import|<link rel=.stylesheet", response.body)


def test_its_examples_name_the_address_that_was_asked(gateway: Gateway) -> None:
    page = gateway.request("GET", "/").body.decode()

    assert "curl -sS http://gateway.test/api/auth/register" in page
    assert "<!--#" not in page


def test_the_address_cannot_bring_markup_into_it(gateway: Gateway) -> None:
    response = gateway.raw(b"GET / HTTP/1.1\r\nHost: a<b>\r\nConnection: close\r\n\r\n")

    assert b"a<b>" not in response.body


@pytest.mark.parametrize(
    "slug", re.findall(r'<section id="([a-z-]+)"', (CHECKOUT / "console/problems.html").read_text())
)
def test_the_type_of_a_problem_leads_to_its_place_on_the_page(gateway: Gateway, slug: str) -> None:
    response = gateway.request("GET", f"/problems/{slug}")

    assert (response.status, response.headers["Location"]) == (303, f"/problems#{slug}")
    assert_secured(response)


def test_what_is_no_type_leads_nowhere(gateway: Gateway) -> None:
    assert_problem(gateway.request("GET", "/problems/out-of-coffee"), 404, "not-found")


LINKS = {
    link
    for page in ("index", "problems", "docs")
    for link in re.findall(r'(?:href|src)="(/[^"]*)"', (CHECKOUT / f"console/{page}.html").read_text())
}


@pytest.mark.parametrize("path", sorted(LINKS))
def test_their_links_lead_somewhere(gateway: Gateway, path: str) -> None:
    assert gateway.request("GET", path).status == 200
