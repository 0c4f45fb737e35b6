"""Forwarding by the gateway, in both directions."""

import json
import re

import pytest

from support.gateway import Gateway, Upstream, running_gateway
from support.http import Response, assert_problem, assert_secured
from support.paths import CHECKOUT


def test_no_service_is_looked_up_once_and_for_all() -> None:
    template = (CHECKOUT / "nginx/gateway.conf.template").read_text()
    targets = re.findall(r"proxy_pass\s+http://([^/;]+)", template)
    assert len(targets) >= 7
    names = ("auth", "tasks", "scheduler", "$asked_service")
    assert set(targets) == {f"{name}$service_port" for name in names}
    # Each location of a service sets the service's name for the retry.
    asked = re.findall(r"set \$asked_service (\w+);(?:(?!proxy_pass).)*proxy_pass http://(\w+)\$", template, re.DOTALL)
    assert len(asked) == len(re.findall(r"location (?:=|\^~) /api/(?:auth/|tasks|jobs|webhooks)", template)) == 7
    assert all(name == target for name, target in asked)


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/api/auth/token", "auth"),
        ("/api/auth/token/", "auth"),
        ("/api/auth/me?x=1", "auth"),
        ("/api/tasks", "tasks"),
        ("/api/tasks/", "tasks"),
        ("/api/tasks?limit=2&before=..//", "tasks"),
        ("/api/tasks/12/", "tasks"),
        ("/api/jobs", "scheduler"),
        ("/api/jobs/", "scheduler"),
        ("/api/jobs/runs?job=a", "scheduler"),
        ("/api/webhooks", "scheduler"),
        ("/api/webhooks/", "scheduler"),
        ("/api/webhooks/1/deliveries/2/redelivery", "scheduler"),
    ],
)
def test_each_api_path_reaches_its_service_as_it_is(
    gateway: Gateway, upstreams: dict[str, Upstream], path: str, service: str
) -> None:
    response = gateway.request("GET", path)

    assert response.status == 200
    assert_secured(response)
    assert [received.path for received in upstreams[service].received] == [path]
    assert not any(upstream.received for name, upstream in upstreams.items() if name != service)


@pytest.mark.parametrize(
    "path",
    [
        "/admin/",
        "/api",
        "/api/",
        "/api/auth",
        "/api/authx/token",
        "/api/tasksx",
        "/api/jobsx",
        "/api/webhooksx",
        "/API/tasks",
        "/index.html",
        "/static/x",
        "/_problem",
        "/_readyz/auth",
        "/_readyz/",
        "/readyz/",
        "/auth/readyz",
        "/.env",
    ],
)
def test_nothing_else_is_reachable(gateway: Gateway, upstreams: dict[str, Upstream], path: str) -> None:
    assert_problem(gateway.request("GET", path), 404, "not-found")

    assert not any(upstream.received for upstream in upstreams.values())


@pytest.mark.parametrize(
    "path",
    [
        "/api/tasks/../../admin",
        "/api/tasks/..",
        "/api/tasks/../tasks",
        "/api/tasks/./1",
        "/api/tasks/.",
        "/api//tasks",
        "//api/tasks",
        "/api/tasks//1",
        "/api/tasks/%2e%2e/admin",
        "/api/tasks/%2E%2E/tasks",
        "/api/tasks/..%2f..%2fadmin",
        "/api/tasks%2f1",
        "/api/tasks/%5c1",
        "/api/tasks/\\1",
        "/api/tasks/1#/2",
        "/x%20/_problem/../../api//tasks",
        "/x%3f/../api/tasks/../tasks",
    ],
)
def test_a_path_that_is_not_normalised_is_refused(gateway: Gateway, upstreams: dict[str, Upstream], path: str) -> None:
    assert_problem(gateway.request("GET", path), 404, "not-found")

    assert not any(upstream.received for upstream in upstreams.values())


def test_a_service_gets_the_allowed_headers_and_no_others(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    passed = {
        "Accept": "application/json",
        "Authorization": "Bearer abc",
        "Content-Encoding": "identity",
        "Content-Type": "application/json",
        "Idempotency-Key": "k-1",
        "If-Match": '"3"',
        "If-None-Match": '"4"',
        "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "User-Agent": "tests",
    }
    stopped = {
        "X-Request-ID": "forged",
        "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Host": "evil.test",
        "X-Forwarded-Proto": "https",
        "X-Real-IP": "1.2.3.4",
        "Forwarded": "for=1.2.3.4",
        "X-User-Id": "1",
        "X-Readyz-Next": "/_readyz/tasks",
        "X-HTTP-Method-Override": "DELETE",
        "Cookie": "sessionid=1",
        "Origin": "https://evil.test",
        "X_Forwarded_For": "1.2.3.4",
    }
    gateway.request("POST", "/api/tasks", headers=passed | stopped, body=b"{}")

    (received,) = upstreams["tasks"].received
    request_id = received.headers["X-Request-ID"]
    assert dict(received.headers.items()) == passed | {
        "Host": "tasks",
        "Content-Length": "2",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": "gateway.test",
        "X-Forwarded-Proto": "http",
        "X-Request-ID": request_id,
    }


@pytest.mark.parametrize(
    "text",
    [
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "forged",
    ],
)
def test_trace_that_is_none_is_not_passed_on(gateway: Gateway, upstreams: dict[str, Upstream], text: str) -> None:
    gateway.request("GET", "/api/tasks", headers={"Traceparent": text})

    (received,) = upstreams["tasks"].received
    assert "Traceparent" not in received.headers


@pytest.mark.parametrize("host", ["localhost:8000", "api.example.org", "127.0.0.1:1", "[::1]:8000", "my_host"])
def test_a_service_learns_the_host_that_the_client_used(
    gateway: Gateway, upstreams: dict[str, Upstream], host: str
) -> None:
    gateway.raw(f"GET /api/tasks HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

    (received,) = upstreams["tasks"].received
    assert received.headers["X-Forwarded-Host"] == host


@pytest.mark.parametrize(
    "host", ["a<b>", 'a"b', "a,b", "a b", "user@evil.test", "a:80:80", "a:b", "[::1", "x" * 256, "a;b", "a'b", "{a}"]
)
def test_a_host_that_is_none_does_not_reach_a_service(
    gateway: Gateway, upstreams: dict[str, Upstream], host: str
) -> None:
    gateway.raw(f"GET /api/tasks HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

    assert not any(received.headers["X-Forwarded-Host"] for received in upstreams["tasks"].received)


def test_a_replayed_response_says_so_to_the_client(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    upstreams["tasks"].respond = lambda _: Response(201, {"Idempotency-Replayed": "true"})

    response = gateway.request("POST", "/api/tasks", headers={"Idempotency-Key": "k-1"}, body=b"{}")

    assert response.headers.get_all("Idempotency-Replayed") == ["true"]


def test_each_request_has_an_id_of_its_own_that_the_service_and_the_client_get(
    gateway: Gateway, upstreams: dict[str, Upstream]
) -> None:
    upstreams["tasks"].respond = lambda _: Response(headers={"X-Request-ID": "the service's"})

    responses = [gateway.request("GET", "/api/tasks", headers={"X-Request-ID": "mine"}) for _ in range(2)]

    sent = [received.headers["X-Request-ID"] for received in upstreams["tasks"].received]
    assert [response.headers.get_all("X-Request-ID") for response in responses] == [[sent[0]], [sent[1]]]
    assert sent[0] != sent[1]


@pytest.mark.parametrize("status", [200, 201, 204, 304, 400, 401, 404, 405, 409, 412, 415, 422, 429, 500, 503])
def test_what_a_service_answers_passes_untouched_but_for_the_security_headers(
    gateway: Gateway, upstreams: dict[str, Upstream], status: int
) -> None:
    body = b"" if status in (204, 304) else b'{"mine": true}'
    own = {"ETag": '"7"', "Allow": "GET", "Retry-After": "30", "WWW-Authenticate": "Bearer", "Cache-Control": "private"}
    replaced = {"X-Frame-Options": "SAMEORIGIN", "Content-Security-Policy": "default-src *", "X-Request-ID": "1"}
    upstreams["tasks"].respond = lambda _: Response(status, own | replaced, body)

    response = gateway.request("GET", "/api/tasks")

    assert (response.status, response.body) == (status, body)
    assert {name: response.headers.get_all(name) for name in own} == {name: [value] for name, value in own.items()}
    assert_secured(response)


def test_no_answer_of_a_service_steers_the_gateway(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    upstreams["tasks"].respond = lambda _: Response(headers={"X-Accel-Redirect": "/_readyz/scheduler"}, body=b"mine")

    assert gateway.request("GET", "/api/tasks").body == b"mine"
    assert not upstreams["scheduler"].received


@pytest.mark.parametrize("size", [1, 1024, 65536])
def test_a_body_up_to_the_limit_arrives_whole(gateway: Gateway, upstreams: dict[str, Upstream], size: int) -> None:
    body = bytes(range(256)) * (size // 256) or b"x"

    assert gateway.request("POST", "/api/tasks", body=body).status == 200
    assert [received.body for received in upstreams["tasks"].received] == [body]


def test_a_chunked_body_arrives_whole(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    head = b"POST /api/tasks HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert gateway.raw(head, then=b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n").status == 200
    assert [received.body for received in upstreams["tasks"].received] == [b"hello world"]


def test_a_post_whose_connection_broke_is_not_sent_again(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    # A broken keep-alive connection is the only case in which nginx would retry with a single upstream.
    assert gateway.request("GET", "/api/tasks").status == 200
    upstreams["tasks"].reset()
    upstreams["tasks"].respond = lambda _: None

    for method in ("POST", "PATCH"):
        assert gateway.request(method, "/api/tasks/1", body=b"{}").status == 502
    assert [received.method for received in upstreams["tasks"].received] == ["POST", "PATCH"]


@pytest.mark.parametrize("path", ["/api/auth/me", "/api/tasks?limit=3", "/api/jobs"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_get_that_a_service_did_not_live_to_answer_is_asked_once_more(method: str, path: str) -> None:
    service = {"/api/auth/me": "auth", "/api/jobs": "scheduler"}.get(path, "tasks")
    responses = iter([None, Response(headers={"ETag": '"1"'})])
    # A new connection, on which nginx itself does not retry.
    with running_gateway() as gateway, gateway.upstream(service, lambda _: next(responses, None)) as upstream:
        response = gateway.request(method, path)

    assert response.status == 200
    assert response.headers["ETag"] == '"1"'
    assert [(received.method, received.path) for received in upstream.received] == [(method, path)] * 2


def test_a_get_that_is_never_answered_is_asked_twice_and_no_more() -> None:
    with running_gateway() as gateway, gateway.upstream("tasks", lambda _: None) as upstream:
        assert_problem(gateway.request("GET", "/api/tasks"), 502, "bad-gateway")

    assert len(upstream.received) == 2


def test_connections_to_a_service_are_kept(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    for _ in range(10):
        assert gateway.request("GET", "/api/tasks").status == 200

    # nginx has two workers here, and each keeps its own connections.
    assert upstreams["tasks"].connections <= 2


def test_the_gateway_starts_without_the_services_and_finds_them_when_they_come() -> None:
    with running_gateway() as gateway:
        assert_problem(gateway.request("GET", "/api/tasks"), 502, "bad-gateway")
        with gateway.upstream("tasks"):
            assert gateway.request("GET", "/api/tasks").status == 200


def test_the_gateway_logs_only_what_no_service_has_answered(upstreams: dict[str, Upstream]) -> None:
    with running_gateway() as gateway:
        with gateway.upstream("tasks"):
            gateway.request("GET", "/healthz")
            gateway.request("GET", "/api/tasks")
            refused = gateway.request(
                "GET", '/nowhere"x?token=secret-in-query', headers={"Authorization": "Bearer secret-token"}
            )
            unavailable = gateway.request("POST", "/api/jobs?token=secret-in-query")
            strange = gateway.request("TRACE", "/api/tasks")
        # One line is nginx's own: the reason why a service cannot be reached.
        text = gateway.log(lines=4)
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        # nginx has two workers, which log independently.
        order = [response.headers["X-Request-ID"] for response in (refused, unavailable, strange)]
        lines.sort(key=lambda line: order.index(line["request_id"]))

    assert "secret-token" not in text
    assert [{**line, "time": "", "duration_ms": line["duration_ms"] >= 0} for line in lines] == [
        {
            "time": "",
            "service": "gateway",
            "level": level,
            "message": "request",
            "request_id": response.headers["X-Request-ID"],
            "client": "127.0.0.1",
            "method": method,
            "path": path,
            "status": status,
            "duration_ms": True,
        }
        for response, level, method, path, status in [
            (refused, "INFO", "GET", "/nowhere", 400),
            (unavailable, "ERROR", "POST", "/api/jobs", 502),
            (strange, "INFO", "TRACE", "/api/tasks", 405),
        ]
    ]


def test_the_text_log_is_one_readable_line() -> None:
    with running_gateway(LOG_FORMAT="text") as gateway:
        request_id = gateway.request("GET", "/nowhere").headers["X-Request-ID"]
        (line,) = gateway.log(lines=1).splitlines()

    assert line.startswith("request method=GET path=/nowhere status=404 duration_ms=")
    assert line.endswith(f" client=127.0.0.1 request_id={request_id}")


# Terminal escapes, DEL, C1 controls, Unicode line and direction controls, and an invalid byte.
CONTROLS = [
    b"\x1b[31m",
    b"\x7f",
    b"\xc2\x85",
    b"\xc2\x9b31m",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xae",
    b"\xe2\x81\xa6",
    b"\xff",
]


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize(
    "request_line_and_headers",
    [
        b"GET /api/tasks/a%s HTTP/1.1\r\nHost: a",
        b"GET /api/tasks?a=%s HTTP/1.1\r\nHost: a",
        b"GET /nowhere/a%s HTTP/1.1\r\nHost: a",
        b"GET%s /api/tasks HTTP/1.1\r\nHost: a",
        b"GET /api/tasks HTTP/1.1\r\nHost: a%s",
        b"GET http://a%s/api/tasks HTTP/1.1\r\nHost: a",
        b"GET /api/tasks HTTP/1.1\r\nHost: a\r\nReferer: http://a/%s",
        b"GET /api/tasks HTTP/1.1\r\nHost: a\r\nUser-Agent: %s",
        b"GET /api/tasks HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: %s",
    ],
)
def test_no_log_line_has_more_than_printable_ascii(log_format: str, request_line_and_headers: bytes) -> None:
    # Without services, so that nginx also writes lines to its own error log.
    with running_gateway(LOG_FORMAT=log_format) as gateway:
        for control in CONTROLS:
            gateway.raw(request_line_and_headers % control + b"\r\nConnection: close\r\n\r\n")
        text = gateway.log(lines=len(CONTROLS))

    assert re.fullmatch(r"[\n -~]+", text)
