"""Every error of nginx itself is a problem+json response with the headers of any other response."""

import json
import re
import time

import pytest

from support.gateway import Gateway, Upstream, running_gateway
from support.http import assert_problem
from support.paths import CHECKOUT

HOST = b"Host: a\r\nConnection: close\r\n"
DOCUMENT = json.loads((CHECKOUT / "console/openapi.json").read_text())
# Each path of the document with its methods.
PATHS = {
    re.sub(r"{\w+}", "1", path): {
        *(method.upper() for method in item),
        *(["HEAD"] if "get" in item else []),
        *(["OPTIONS"] if path.startswith("/api/") else []),
    }
    for path, item in DOCUMENT["paths"].items()
}


def test_not_found_names_the_path_without_the_query(gateway: Gateway) -> None:
    body = assert_problem(gateway.request("GET", "/nowhere/at/all?secret=1"), 404, "not-found")

    assert body["instance"] == "/nowhere/at/all"
    assert body["title"] == "Not Found"


@pytest.mark.parametrize(
    ("path", "instance"),
    [
        ('/a"b', "/a"),
        ("/a{b}", "/a"),
        ("/a\u00e9", "/a"),
        ("/" + "a" * 500, "/" + "a" * 199),
        ("/%22%00x", "/%22%00x"),
    ],
)
def test_the_path_in_a_problem_cannot_break_it(gateway: Gateway, path: str, instance: str) -> None:
    response = gateway.request("GET", path)

    assert response.status in (400, 404)
    assert response.json()["instance"] in (instance, "/")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"GET\r\n\r\n",
        b"get / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /%zz HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /../.. HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /api/tasks/\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /api/tasks?a=<> HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /api/tasks?a=^`| HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /api/tasks HTTP/1.1\r\n" + HOST + b"User-Agent: a\x01b\r\n\r\n",
        b"GET /api/tasks HTTP/1.1\r\n" + HOST + b"If-Match: \x1b[2J\r\n\r\n",
        b"GET /api/tasks HTTP/1.1\r\n" + HOST + b"Authorization: Bearer \x7f\r\n\r\n",
        b"POST /api/tasks HTTP/1.1\r\n" + HOST + b"Content-Length: abc\r\n\r\n",
        b"POST /api/tasks HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/tasks HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_a_malformed_request(gateway: Gateway, upstreams: dict[str, Upstream], request_bytes: bytes) -> None:
    assert_problem(gateway.raw(request_bytes), 400, "bad-request")

    assert not any(upstream.received for upstream in upstreams.values())


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("DELETE", "/readyz", "GET, HEAD"),
        ("POST", "/problems", "GET, HEAD"),
        ("POST", "/problems/bad-gateway", "GET, HEAD"),
        ("OPTIONS", "/problems/bad-gateway", "GET, HEAD"),
        ("BREW", "/healthz", "GET, HEAD"),
        ("TRACE", "/", "GET, HEAD"),
        ("TRACE", "/api/openapi.json", "GET, HEAD"),
    ],
)
def test_a_method_that_the_address_does_not_take(gateway: Gateway, method: str, path: str, allow: str) -> None:
    response = gateway.request(method, path)

    assert_problem(response, 405, "method-not-allowed")
    assert response.headers.get_all("Allow") == [allow]


@pytest.mark.parametrize(("path", "methods"), PATHS.items())
def test_trace_is_refused_with_the_methods_that_the_address_takes(
    gateway: Gateway, upstreams: dict[str, Upstream], path: str, methods: set[str]
) -> None:
    for suffix in ("", "?x=1", "/", "/?x=1") if path.startswith("/api/") else ("", "?x=1"):
        response = gateway.request("TRACE", path + suffix, headers={"Authorization": "Bearer secret-token"})

        assert_problem(response, 405, "method-not-allowed")
        (allow,) = response.headers.get_all("Allow")
        assert set(allow.split(", ")) == methods
        assert b"secret-token" not in response.body
    assert not any(upstream.received for upstream in upstreams.values())


def test_a_method_that_nobody_knows_is_the_services_to_refuse(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    gateway.request("BREW", "/api/tasks")

    assert [received.method for received in upstreams["tasks"].received] == ["BREW"]


@pytest.mark.parametrize("path", ["/api/tasks", "/api/auth/token", "/readyz", "/nowhere"])
def test_a_body_over_the_limit(gateway: Gateway, upstreams: dict[str, Upstream], path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 65537\r\n\r\n".encode()

    response = gateway.raw(head, then=b"x" * 65537)

    assert_problem(response, 413, "payload-too-large")
    assert not any(upstream.received for upstream in upstreams.values())


def test_a_chunked_body_over_the_limit(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    head = b"POST /api/tasks HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    response = gateway.raw(head, then=b"10001\r\n" + b"x" * 65537 + b"\r\n0\r\n\r\n")

    assert_problem(response, 413, "payload-too-large")
    assert not upstreams["tasks"].received


def test_a_long_address(gateway: Gateway) -> None:
    assert_problem(gateway.request("GET", "/api/tasks?x=" + "a" * 9000), 414, "uri-too-long")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer " + "a" * 8186},
        {"If-Match": "a" * 9000},
        {"Idempotency-Key": "a" * 9000},
        {"X-Big": "a" * 17000},
        {"Cookie": "a" * 17000},
        {f"X-{number}": "a" * 8000 for number in range(5)},
    ],
)
def test_a_large_header(gateway: Gateway, upstreams: dict[str, Upstream], headers: dict[str, str]) -> None:
    response = gateway.request("GET", "/api/tasks", headers=headers)

    assert_problem(response, 431, "request-header-fields-too-large")
    assert not upstreams["tasks"].received


def test_the_cookies_of_other_applications_do_no_harm(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    headers = {
        "Cookie": "; ".join(f"app{number}={'x' * 900}" for number in range(10)),
        "Authorization": "Bearer " + "a" * 4000,
    }

    assert gateway.request("GET", "/", headers=headers).status == 200
    assert gateway.request("GET", "/api/tasks?before=" + "a" * 4000, headers=headers).status == 200
    assert [received.headers["Authorization"] for received in upstreams["tasks"].received] == [headers["Authorization"]]


def test_a_condition_that_the_page_does_not_meet(gateway: Gateway) -> None:
    response = gateway.request("GET", "/", headers={"If-Match": '"another"'})

    assert_problem(response, 412, "precondition-failed")


def test_an_encoding_and_a_version_of_http_that_nginx_does_not_know(gateway: Gateway) -> None:
    head = b"POST /api/tasks HTTP/1.1\r\n" + HOST

    assert_problem(gateway.raw(head + b"Transfer-Encoding: smoke\r\n\r\n"), 501, "not-implemented")
    assert_problem(gateway.raw(b"GET / HTTP/3.0\r\n" + HOST + b"\r\n"), 505, "http-version-not-supported")


def test_a_service_that_is_unavailable() -> None:
    with running_gateway() as gateway:
        response = gateway.request("POST", "/api/tasks", body=b"{}")

    assert_problem(response, 502, "bad-gateway")
    assert response.headers.get_all("Retry-After") == ["5"]


def test_a_service_that_hangs_up(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    upstreams["tasks"].respond = lambda _: None

    assert_problem(gateway.request("POST", "/api/tasks", body=b"{}"), 502, "bad-gateway")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_service_that_is_slow(method: str) -> None:
    impatient = running_gateway(replace={"proxy_read_timeout 15s;": "proxy_read_timeout 1s;"})
    with impatient as gateway, gateway.upstream("tasks", lambda _: time.sleep(2)) as upstream:
        response = gateway.request(method, "/api/tasks", body=b"{}")

    assert_problem(response, 504, "gateway-timeout")
    assert response.headers.get_all("Retry-After") == ["5"]
    assert len(upstream.received) == 1


def test_a_client_that_is_slow_is_dropped() -> None:
    # nginx sends no response in this case, despite error_page: it closes the connection.
    impatient = running_gateway(replace={"client_body_timeout 10s;": "client_body_timeout 1s;"})
    with impatient as gateway, gateway.upstream("tasks") as upstream, pytest.raises(ConnectionResetError):
        gateway.raw(b"POST /api/tasks HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\n12345")

    assert not upstream.received


@pytest.mark.parametrize(
    ("status", "slug"),
    [(403, "forbidden"), (416, "range-not-satisfiable"), (500, "internal-server-error"), (503, "service-unavailable")],
)
def test_what_nginx_says_only_when_something_is_wrong_with_it(status: int, slug: str) -> None:
    with running_gateway(replace={"""return 200 '{"status":"ok"}';""": f"return {status};"}) as gateway:
        assert_problem(gateway.request("GET", "/healthz"), status, slug)


def test_an_answer_to_head_has_no_body(gateway: Gateway) -> None:
    response = gateway.request("HEAD", "/nowhere")

    assert (response.status, response.body) == (404, b"")
