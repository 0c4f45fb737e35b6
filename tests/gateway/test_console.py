"""The pages at / and /problems, their files, and the page for a 404."""

import re

import pytest

from support.gateway import Gateway
from support.http import assert_problem, assert_secured
from support.paths import CHECKOUT

CONSOLE = CHECKOUT / "console"
NOTHING_ELSE = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}
READ_ONLY = {**NOTHING_ELSE, "style-src": "'self'", "img-src": "'self'"}
POLICIES = {
    "/": {
        **READ_ONLY,
        "script-src": "'self'",
        "connect-src": "'self'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    },
    "/problems": READ_ONLY,
    "/problems/": READ_ONLY,
    "/nothing": READ_ONLY,
}
INLINE_OR_FOREIGN = re.compile(
    rb"""<style|<script(?! type="module" src="/)|<link[^>]*https?:|src="https?:|\son\w+=|\sstyle=|@import"""
)


@pytest.mark.parametrize("path", POLICIES)
def test_a_page_is_served_with_a_policy_that_allows_its_own_files_and_nothing_else(gateway: Gateway, path: str) -> None:
    response = gateway.request("GET", path, headers={"Accept": "text/html"})

    assert response.status == (404 if path == "/nothing" else 200)
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Cache-Control"] == ("no-store" if path == "/nothing" else "no-cache")
    assert_secured(response)
    policy = response.headers["Content-Security-Policy"]
    assert dict(directive.split(" ", 1) for directive in policy.split("; ")) == POLICIES[path]
    assert not INLINE_OR_FOREIGN.search(response.body)


MODULES = sorted(file.name for file in CONSOLE.glob("*.js"))


@pytest.mark.parametrize("name", [*MODULES, "console.css", "docs.css"])
def test_its_files_are_served_as_what_they_are(gateway: Gateway, name: str) -> None:
    response = gateway.request("GET", f"/console/{name}")

    assert response.status == 200
    assert response.headers["Content-Type"] == ("text/javascript" if name.endswith(".js") else "text/css")
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.body == (CONSOLE / name).read_bytes()
    assert_secured(response)


@pytest.mark.parametrize(
    ("path", "content_type"), [("/favicon.svg", "image/svg+xml"), ("/favicon.ico", "image/x-icon")]
)
def test_there_is_a_favicon(gateway: Gateway, path: str, content_type: str) -> None:
    response = gateway.request("GET", path)

    assert (response.status, response.headers["Content-Type"]) == (200, content_type)


def test_every_module_of_the_page_is_named_in_it_so_that_they_come_at_once() -> None:
    page = (CONSOLE / "index.html").read_text()
    named = re.findall(r'"/console/(\w+\.js)"', page)

    assert sorted(named) == [name for name in MODULES if name != "docs.js"]


def test_it_promises_nothing_about_the_state_of_the_system() -> None:
    assert not re.search(r"is up\b|/readyz", (CONSOLE / "index.html").read_text())


@pytest.mark.parametrize("accept", ["text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "TEXT/HTML"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_browser_that_asks_for_nothing_gets_a_page_with_a_way_home(
    gateway: Gateway, method: str, accept: str
) -> None:
    response = gateway.request(method, "/nothing", headers={"Accept": accept})

    assert (response.status, response.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert method == "HEAD" or b'href="/"' in response.body


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/problem+json"])
def test_everybody_else_gets_the_problem(gateway: Gateway, accept: str | None) -> None:
    headers = {} if accept is None else {"Accept": accept}

    assert_problem(gateway.request("GET", "/nothing", headers=headers), 404, "not-found")


def test_a_browser_gets_other_problems_as_everybody_does(gateway: Gateway) -> None:
    assert_problem(gateway.request("POST", "/healthz", headers={"Accept": "text/html"}), 405, "method-not-allowed")


@pytest.mark.parametrize(
    "path", ["/404.html", "/index.html", "/console/index.html", "/console/openapi.json", "/console/"]
)
def test_no_other_file_is_reachable(gateway: Gateway, path: str) -> None:
    assert_problem(gateway.request("GET", path), 404, "not-found")


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
    for page in ("index", "problems", "docs", "404")
    for link in re.findall(r'(?:href|src)="(/[^"]*)"', (CHECKOUT / f"console/{page}.html").read_text())
}


@pytest.mark.parametrize("path", sorted(LINKS))
def test_their_links_lead_somewhere(gateway: Gateway, path: str) -> None:
    assert gateway.request("GET", path).status == 200
