"""/api/docs and its files, all served by the gateway under a content policy without exceptions."""

import hashlib
import re

import pytest

from support.gateway import Gateway, Upstream
from support.http import assert_problem, assert_secured
from support.paths import CHECKOUT

SWAGGER_UI = CHECKOUT / "var/env/pages/drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist"
FILES = {
    "/api/docs": ("text/html; charset=utf-8", CHECKOUT / "console/docs.html"),
    "/api/docs/": ("text/html; charset=utf-8", CHECKOUT / "console/docs.html"),
    "/api/docs/swagger-ui-bundle.js": ("text/javascript", SWAGGER_UI / "swagger-ui-bundle.js"),
    "/api/docs/swagger-ui.css": ("text/css", SWAGGER_UI / "swagger-ui.css"),
    "/api/openapi.json": ("application/json", CHECKOUT / "console/openapi.json"),
}


@pytest.mark.parametrize("path", FILES)
def test_each_file_is_served_as_what_it_is_and_asks_no_service(
    gateway: Gateway, upstreams: dict[str, Upstream], path: str
) -> None:
    response = gateway.request("GET", path)

    content_type, file = FILES[path]
    assert (response.status, response.headers["Content-Type"]) == (200, content_type)
    assert hashlib.sha256(response.body).digest() == hashlib.sha256(file.read_bytes()).digest()
    assert response.headers["Cache-Control"] == "no-cache"
    assert_secured(response)
    assert not any(upstream.received for upstream in upstreams.values())


def test_a_file_that_the_browser_has_is_not_sent_again(gateway: Gateway) -> None:
    first = gateway.request("GET", "/api/openapi.json")
    again = gateway.request("GET", "/api/openapi.json", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status, again.body) == (304, b"")


def test_the_page_may_run_and_ask_its_own_address_and_nothing_else(gateway: Gateway) -> None:
    policy = gateway.request("GET", "/api/docs").headers["Content-Security-Policy"]

    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    page = (CHECKOUT / "console/docs.html").read_text()
    assert not re.search(r"<style|<script>|\son\w+=|\sstyle=|https?:", page)


@pytest.mark.parametrize("path", ["/api/docs", "/api/openapi.json", "/console/docs.js"])
def test_they_are_to_be_read_only(gateway: Gateway, path: str) -> None:
    response = gateway.request("POST", path, body=b"{}")

    assert_problem(response, 405, "method-not-allowed")
    assert response.headers.get_all("Allow") == ["GET, HEAD"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/docs/docs.html",
        "/api/docs/swagger-ui-bundle.js.map",
        "/api/docs/oauth2-redirect.html",
        "/api/docs/LICENSE",
        "/api/docs/favicon-32x32.png",
        "/openapi.json",
        "/docs.html",
        "/problems.html",
    ],
)
def test_no_other_file_is_reachable(gateway: Gateway, path: str) -> None:
    assert_problem(gateway.request("GET", path), 404, "not-found")
