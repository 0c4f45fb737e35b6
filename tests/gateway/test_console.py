"""The page at /: it runs no script and loads nothing."""

import base64
import hashlib
import re

import pytest

from .conftest import CHECKOUT, Gateway, secured


def test_the_page_is_served_with_a_policy_that_allows_its_own_style_and_nothing_else(gateway: Gateway) -> None:
    response = gateway.request("GET", "/")

    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"
    secured(response)
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


@pytest.mark.parametrize("path", re.findall(r'href="(/[^"]*)"', (CHECKOUT / "console/index.html").read_text()))
def test_its_links_lead_somewhere(gateway: Gateway, path: str) -> None:
    assert gateway.request("GET", path).status == 200
