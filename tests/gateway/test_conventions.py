"""Common expectations of an API: CORS, compressed responses, ETags that stay valid."""

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support.gateway import Gateway, Upstream, running_gateway
from support.http import Response, assert_secured
from support.paths import CHECKOUT, SERVICES

OURS = "https://app.example.org"
SECOND = "http://localhost:5173"
EXPOSED = "ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
TRACING = "Baggage, Sentry-Trace, Traceparent, Tracestate"
ALLOWED = f"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, {TRACING}"
PREFLIGHT = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,content-type"}


def cors(response: Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("Access-Control-")}


@pytest.fixture(scope="module")
def open_gateway() -> Iterator[Gateway]:
    with running_gateway(CORS_ORIGINS=f"{OURS},{SECOND}") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def services(open_gateway: Gateway) -> Iterator[dict[str, Upstream]]:
    with ExitStack() as running:
        yield {name: running.enter_context(open_gateway.upstream(name)) for name in SERVICES}


class TestOtherOrigins:
    @pytest.mark.parametrize("origin", [OURS, SECOND])
    def test_a_preflight_is_answered_without_a_token_and_without_a_service(
        self, open_gateway, services, origin
    ) -> None:
        services["tasks"].reset()
        response = open_gateway.request("OPTIONS", "/api/tasks/1", headers={"Origin": origin, **PREFLIGHT})

        assert (response.status, response.body) == (204, b"")
        assert cors(response) == {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
            "Access-Control-Allow-Headers": ALLOWED,
            "Access-Control-Expose-Headers": EXPOSED,
            "Access-Control-Max-Age": "7200",
        }
        assert response.headers["Vary"] == "Origin"
        assert_secured(response)
        assert not services["tasks"].received

    @pytest.mark.parametrize(("path", "status"), [("/api/tasks", 200), ("/nowhere", 404), ("/api/tasks/../x", 404)])
    def test_an_answer_may_be_read_errors_included(self, open_gateway, services, path, status) -> None:
        response = open_gateway.request("GET", path, headers={"Origin": OURS})

        assert response.status == status
        assert cors(response) == {
            "Access-Control-Allow-Origin": OURS,
            "Access-Control-Expose-Headers": EXPOSED,
        }
        assert response.headers.get_all("Vary") == ["Origin"]

    @pytest.mark.parametrize(
        "origin",
        [
            "https://evil.example.org",
            "https://app.example.org.evil.test",
            "https://app.example.or",
            "http://app.example.org",
            "https://app.example.org:8443",
            "HTTPS://APP.EXAMPLE.ORG",
            f"{OURS},{SECOND}",
            f"{OURS} {OURS}",
            f"https://evil.test {OURS}",
            "null",
            "*",
            ",",
            "",
        ],
    )
    def test_another_origin_is_told_nothing(self, open_gateway, services, origin) -> None:
        for method, headers in (("GET", {}), ("OPTIONS", PREFLIGHT)):
            response = open_gateway.request(method, "/api/tasks", headers={"Origin": origin, **headers})
            assert response.status == 200
            assert not cors(response)
            # A cache must not serve this response to a listed origin.
            assert response.headers["Vary"] == "Origin"

    def test_options_without_a_preflight_is_the_services(self, open_gateway, services) -> None:
        services["tasks"].reset()
        open_gateway.request("OPTIONS", "/api/tasks", headers={"Origin": OURS})

        assert [received.method for received in services["tasks"].received] == ["OPTIONS"]


@pytest.mark.parametrize("origin", [OURS, "null", "", "*"])
def test_no_origin_is_allowed_by_default(gateway: Gateway, origin: str) -> None:
    for method, headers in (("GET", {}), ("OPTIONS", PREFLIGHT)):
        response = gateway.request(method, "/api/tasks", headers={"Origin": origin, **headers})
        assert response.status == 200
        assert not cors(response)
        assert "Vary" not in response.headers


def tasks(count: int) -> bytes:
    return json.dumps([{"id": number, "title": "Write the report"} for number in range(count)]).encode()


# The largest possible task: a title of 200 UTF-16 code units is at most 600 bytes of UTF-8.
LARGEST_TASK = json.dumps(
    {
        "id": 2**63 - 1,
        "title": "\u20ac" * 200,
        "duration": 525_600,
        "created_at": "2026-01-31T09:30:00.000000Z",
        "updated_at": "2026-01-31T09:30:00.000000Z",
    },
    ensure_ascii=False,
    separators=(",", ":"),
).encode()


# The paths of the document.
DOCUMENT = json.loads((CHECKOUT / "console/openapi.json").read_text())
AUTH = [path.format(session_id=1) for path in DOCUMENT["paths"] if path.startswith("/api/auth/")]


class TestCompression:
    ACCEPTING = {"Accept-Encoding": "gzip, br"}

    def test_a_large_answer_is_compressed_for_who_takes_it(self, gateway, upstreams) -> None:
        body = tasks(100)
        upstreams["tasks"].respond = lambda _: Response(body=body)

        compressed = gateway.request("GET", "/api/tasks", headers=self.ACCEPTING)
        plain = gateway.request("GET", "/api/tasks")

        assert (compressed.headers["Content-Encoding"], plain.headers["Content-Encoding"]) == ("gzip", None)
        assert (gzip.decompress(compressed.body), plain.body) == (body, body)
        assert len(compressed.body) < len(body) / 5
        assert {compressed.headers["Vary"], plain.headers["Vary"]} == {"Accept-Encoding"}
        # No service receives the header, so none compresses.
        assert {received.headers["Accept-Encoding"] for received in upstreams["tasks"].received} == {None}

    def test_one_task_is_never_compressed_so_that_its_tag_stays_a_strong_one(self, gateway, upstreams) -> None:
        upstreams["tasks"].respond = lambda _: Response(headers={"ETag": '"3"'}, body=LARGEST_TASK)

        response = gateway.request("GET", "/api/tasks/1", headers=self.ACCEPTING)

        assert "Content-Encoding" not in response.headers
        assert response.headers["ETag"] == '"3"'

    @pytest.mark.parametrize("path", AUTH)
    def test_answers_of_auth_are_not_compressed(self, gateway, upstreams, path) -> None:
        upstreams["auth"].respond = lambda _: Response(body=tasks(100))

        for method in ("GET", "POST"):
            response = gateway.request(method, path, headers=self.ACCEPTING)
            assert (response.status, response.body) == (200, tasks(100))
            assert "Content-Encoding" not in response.headers

    def test_a_304_of_a_service_passes_with_its_tag(self, gateway, upstreams) -> None:
        upstreams["tasks"].respond = lambda _: Response(304, {"ETag": '"3"'}, b"")

        response = gateway.request("GET", "/api/tasks/1", headers={"If-None-Match": '"3"', **self.ACCEPTING})

        assert (response.status, response.headers["ETag"], response.body) == (304, '"3"', b"")
