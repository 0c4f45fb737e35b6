"""Attacks: other users' ids, forged tokens, hostile bodies. Each gets a 4xx problem and changes nothing."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from support.accounts import Account
from support.environment import KID
from support.stack import Stack
from support.tokens import Seconds, encode_segment, sign_by_hand

DEEP = 978


def problem(response: requests.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert list(body)[:6] == ["type", "title", "status", "detail", "instance", "request_id"]
    assert (body["status"], body["request_id"]) == (status, response.headers["X-Request-ID"])
    return body


class TestAnotherUsersTask:
    @pytest.mark.parametrize(
        ("method", "arguments"),
        [
            ("GET", {}),
            ("PATCH", {"json": {"title": "mine"}}),
            ("PUT", {"json": {"title": "mine"}}),
            ("DELETE", {}),
            ("PATCH", {"json": {"title": "mine"}, "headers": {"If-Match": '"7"'}}),
            ("DELETE", {"headers": {"If-Match": '"7"'}}),
        ],
    )
    def test_is_the_same_404_as_a_missing_one(
        self, stack: Stack, ada: Account, eve: Account, task: dict[str, Any], method: str, arguments: dict[str, Any]
    ) -> None:
        path = f"/api/tasks/{task['id']}"
        hidden = stack.call(method, path, token=eve.access, **arguments)
        assert stack.call("GET", path, token=ada.access).json() == task
        stack.call("DELETE", path, token=ada.access)
        missing = stack.call(method, path, token=eve.access, **arguments)
        problem(hidden, 404)
        assert hidden.content.replace(hidden.headers["X-Request-ID"].encode(), b"") == missing.content.replace(
            missing.headers["X-Request-ID"].encode(), b""
        )
        volatile = {"Date", "X-Request-ID"}
        assert {k: v for k, v in hidden.headers.items() if k not in volatile} == {
            k: v for k, v in missing.headers.items() if k not in volatile
        }

    def test_is_in_no_other_list(self, stack: Stack, eve: Account, task: dict[str, Any]) -> None:
        listed = stack.call("GET", "/api/tasks?limit=100", token=eve.access).json()
        assert task["id"] not in [other["id"] for other in listed]

    def test_cannot_be_reached_by_headers_that_name_a_user(
        self, stack: Stack, eve: Account, task: dict[str, Any]
    ) -> None:
        headers = {"X-User-Id": "1", "X-User": "ada", "X-Forwarded-User": "1", "X-Original-URL": "/api/tasks"}
        problem(stack.call("GET", f"/api/tasks/{task['id']}", token=eve.access, headers=headers), 404)


SERVICES = ["/api/tasks", "/api/auth/me", "/api/jobs"]


FOREIGN_KEY = "a key of the attacker's own, long enough for HS256"

FORGERIES: dict[str, dict[str, Any]] = {
    "another key": {"key": "x" * 64},
    "another algorithm": {"algorithm": "HS512"},
    "an unknown kid": {"header": {"kid": "other"}},
    "a kid that is a path": {"header": {"kid": "../../etc/passwd"}},
    "a kid that is SQL": {"header": {"kid": f"x' UNION SELECT '{FOREIGN_KEY}' --"}, "key": FOREIGN_KEY},
    "no kid": {"header": {"kid": None}},
    "another issuer": {"iss": "somebody"},
    "another audience": {"aud": "another-api"},
    "a list of audiences": {"aud": ["task-api"]},
    "the type of a refresh token": {"token_type": "refresh"},
    "no type": {"token_type": None},
    "expired": {"iat": Seconds(-400), "exp": Seconds(-100)},
    "expired 10 s ago": {"iat": Seconds(-310), "exp": Seconds(-10)},
    "not valid for another 10 s": {"nbf": Seconds(10)},
    "issued 10 s ahead": {"iat": Seconds(10)},
    "an expiry beyond all dates": {"exp": 10**20},
    "an expiry beyond the contract": {"exp": Seconds(86_400)},
    "issued in the future": {"iat": Seconds(200)},
    "no user": {"user_id": None},
    "user 0": {"user_id": "0"},
    "a negative user": {"user_id": "-1"},
    "a user that is a number": {"user_id": 1},
    "a user in other digits": {"user_id": "١"},
    "a user beyond bigint": {"user_id": str(2**63)},
    "a user that is a list": {"user_id": ["1"]},
    "staff that is a string": {"is_staff": "true"},
    "no session": {"sid": None},
    "no id": {"jti": None},
}


Way = Callable[[Stack, str], http.client.HTTPConnection]


def gateway(stack: Stack, path: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=30)


def service(stack: Stack, path: str) -> http.client.HTTPConnection:
    """Connect to the service of this path, bypassing the gateway."""
    name = {"/api/tasks": "tasks", "/api/auth/me": "auth", "/api/jobs": "scheduler"}[path]
    connection = http.client.HTTPConnection(name)
    connection.sock = stack.connect(name)
    return connection


def authorized(connection: http.client.HTTPConnection, path: str, *tokens: str) -> int:
    """Return the status of a request with one Authorization header per token."""
    connection.putrequest("GET", path)
    for token in tokens:
        connection.putheader("Authorization", f"Bearer {token}")
    connection.endheaders()
    response = connection.getresponse()
    response.read()
    return response.status


class TestForgedTokens:
    @pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/1", "/api/auth/me", "/api/jobs"])
    def test_the_forger_is_let_in_where_nothing_is_wrong(
        self, stack: Stack, first: Account, forge: Callable[..., str], path: str
    ) -> None:
        """Without this, the refusals below would prove nothing."""
        assert stack.call("GET", path, token=forge(is_staff=True)).status_code in (200, 404)

    @pytest.mark.parametrize("path", ["/api/tasks", "/api/auth/me", "/api/jobs"])
    @pytest.mark.parametrize("forgery", FORGERIES)
    def test_are_refused_by_every_service(
        self, stack: Stack, forge: Callable[..., str], forgery: str, path: str
    ) -> None:
        response = stack.call("GET", path, token=forge(**{"is_staff": True, **FORGERIES[forgery]}))
        problem(response, 401)
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'

    @pytest.mark.parametrize(
        "claims", [{"iat": Seconds(-290), "exp": Seconds(-2)}, {"iat": Seconds(3)}, {"nbf": Seconds(3)}]
    )
    def test_a_clock_may_be_off_by_a_little(
        self, stack: Stack, first: Account, forge: Callable[..., str], claims: dict[str, Any]
    ) -> None:
        for path in SERVICES:
            assert stack.call("GET", path, token=forge(is_staff=True, **claims)).status_code == 200

    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256"])
    def test_without_a_signature_are_refused(self, stack: Stack, algorithm: str) -> None:
        token = sign_by_hand(header={"alg": algorithm, "kid": KID, "typ": "JWT"}, key=None, is_staff=True)
        for path in SERVICES:
            problem(stack.call("GET", path, token=token), 401)

    @pytest.mark.parametrize("algorithm", ["RS256", "ES256", "HS384", "hs256", "", None])
    def test_with_our_key_under_the_name_of_another_algorithm_are_refused(
        self, stack: Stack, first: Account, algorithm: str | None
    ) -> None:
        good = sign_by_hand(header={"alg": "HS256", "kid": KID}, key=stack.secret, is_staff=True)
        bad = sign_by_hand(header={"alg": algorithm, "kid": KID}, key=stack.secret, is_staff=True)
        for path in SERVICES:
            assert stack.call("GET", path, token=good).status_code == 200
            problem(stack.call("GET", path, token=bad), 401)

    @pytest.mark.parametrize("kid", ["../../../../../../dev/null", "/dev/null", "file:///dev/null", ""])
    def test_with_a_kid_that_leads_to_an_empty_key_are_refused(self, stack: Stack, kid: str) -> None:
        for path in SERVICES:
            problem(
                stack.call("GET", path, token=sign_by_hand(header={"alg": "HS256", "kid": kid}, key="", is_staff=True)),
                401,
            )

    def test_that_bring_or_name_a_key_are_judged_by_our_own_and_nothing_is_fetched(
        self, stack: Stack, first: Account, forge: Callable[..., str], listener: socket.socket
    ) -> None:
        address = "http://{}:{}/keys.json".format(*listener.getsockname())
        key = {"kty": "oct", "alg": "HS256", "kid": KID, "k": encode_segment(FOREIGN_KEY.encode())}
        for header in ({"jku": address}, {"x5u": address}, {"jwk": key}, {"x5c": [key["k"]]}, {"kid": address}):
            for path in SERVICES:
                problem(stack.call("GET", path, token=forge(is_staff=True, key=FOREIGN_KEY, header=header)), 401)
                if "kid" not in header:
                    assert stack.call("GET", path, token=forge(is_staff=True, header=header)).status_code == 200
        with pytest.raises(TimeoutError):
            listener.accept()

    @pytest.mark.parametrize("kind", ["kid", "claim", "garbage"])
    @pytest.mark.parametrize("size", [10_000, 100_000])
    def test_of_many_kilobytes_are_refused(
        self, stack: Stack, first: Account, forge: Callable[..., str], kind: str, size: int
    ) -> None:
        text = "x" * size
        token = {"kid": lambda: forge(header={"kid": text}), "claim": lambda: forge(jti=text), "garbage": lambda: text}
        for path in SERVICES:
            problem(stack.call("GET", path, token=token[kind]()), 431)
        # In a body, the limits of the field and of the body apply.
        for path, field in (("verify", "token"), ("refresh", "refresh")):
            response = stack.call("POST", f"/api/auth/token/{path}", json={field: token[kind]()})
            problem(response, 400 if len(response.request.body) <= 65_536 else 413)

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "Bearer",
            "Bearer ",
            "Basic YTpi",
            "Bearer a b",
            "Bearer a.b",
            "Token x",
            "Bearer é.ü.ö",
            "Bearer " + "x" * 5000,
        ],
    )
    def test_and_other_headers_are_refused(self, stack: Stack, header: str) -> None:
        problem(stack.call("GET", "/api/tasks", headers={"Authorization": header.encode()}), 401)

    @pytest.mark.parametrize("path", SERVICES)
    @pytest.mark.parametrize("headers", ["good, bad", "bad, good", "good, good"])
    @pytest.mark.parametrize(("way", "status"), [(gateway, 400), (service, 401)])
    def test_in_two_headers_are_refused_by_the_gateway_and_by_each_service(
        self, stack: Stack, first: Account, forge: Callable[..., str], path: str, headers: str, way: Way, status: int
    ) -> None:
        tokens = {"good": forge(is_staff=True), "bad": forge(is_staff=True, key=FOREIGN_KEY)}
        with closing(way(stack, path)) as connection:
            assert authorized(connection, path, tokens["good"]) == 200
            assert authorized(connection, path, *(tokens[name] for name in headers.split(", "))) == status

    @pytest.mark.parametrize("path", SERVICES)
    @pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
    def test_are_known_by_their_scheme_in_any_case(
        self, stack: Stack, first: Account, forge: Callable[..., str], path: str, scheme: str
    ) -> None:
        """RFC 9110, section 11.1."""
        headers = {"Authorization": f"{scheme} {forge(is_staff=True)}"}
        assert stack.call("GET", path, headers=headers).status_code == 200

    @pytest.mark.parametrize("path", SERVICES)
    def test_in_the_query_are_not_looked_at(self, stack: Stack, forge: Callable[..., str], path: str) -> None:
        token = forge(is_staff=True)
        problem(stack.call("GET", f"{path}?access_token={token}&token={token}&authorization=Bearer%20{token}"), 401)

    def test_a_refresh_token_opens_nothing(self, stack: Stack, ada: Account) -> None:
        for path in SERVICES:
            problem(stack.call("GET", path, token=ada.refresh), 401)

    def test_an_access_token_renews_nothing(self, stack: Stack, ada: Account) -> None:
        problem(stack.call("POST", "/api/auth/token/refresh", json={"refresh": ada.access}), 401)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        yield server


# Bodies for POST /api/tasks; without the duration they are sent to PUT and PATCH.
HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "white space": b" \n",
    "null": b"null",
    "an array": b'[{"title": "x", "duration": 1}]',
    "a string": b'"title"',
    "a number": b"1",
    "true": b"true",
    "an empty object": b"{}",
    "not JSON": b"title=x&duration=1",
    "half of it": b'{"title": "x"',
    "a comma too many": b'{"title": "x", "duration": 1,}',
    "a comment": b'{"title": "x", "duration": 1} // x',
    "two documents": b'{"title": "x", "duration": 1}{}',
    "single quotes": b"{'title': 'x', 'duration': 1}",
    "nested arrays": b"[" * DEEP + b"]" * DEEP,
    "nested arrays in a field": b'{"title": ' + b"[" * DEEP + b"]" * DEEP + b', "duration": 1}',
    "nested objects": b'{"title":' * DEEP + b"1" + b"}" * DEEP,
    "very deep": b"[" * 60_000,
    "invalid UTF-8": b'{"title": "\xff\xfe", "duration": 1}',
    "UTF-16": '{"title": "x", "duration": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"title": "x", "duration": 1}',
    "an overlong encoding": b'{"title": "\xc0\xaf", "duration": 1}',
    "a lone surrogate": b'{"title": "\\ud800", "duration": 1}',
    "a lone surrogate as a name": b'{"title": "x", "duration": 1, "\\udfff": 1}',
    "a NUL": b'{"title": "a\\u0000b", "duration": 1}',
    "a line break": b'{"title": "a\\nb", "duration": 1}',
    "an escape": b'{"title": "a\\u001b[2Jb", "duration": 1}',
    "a C1 control": b'{"title": "a\\u0085b", "duration": 1}',
    "no title": b'{"duration": 1}',
    "an empty title": b'{"title": "", "duration": 1}',
    "a blank title": b'{"title": " \\u3000 ", "duration": 1}',
    "a title that is null": b'{"title": null, "duration": 1}',
    "a title that is a number": b'{"title": 5, "duration": 1}',
    "a title that is true": b'{"title": true, "duration": 1}',
    "a title that is a list": b'{"title": ["x"], "duration": 1}',
    "a title that is an object": b'{"title": {"x": 1}, "duration": 1}',
    "201 letters": b'{"title": "' + b"x" * 201 + b'", "duration": 1}',
    "101 emoji": '{{"title": "{}", "duration": 1}}'.format("😀" * 101).encode(),
    "a name twice": b'{"title": "x", "title": "y", "duration": 1}',
    "NaN": b'{"title": "x", "duration": NaN}',
    "Infinity": b'{"title": "x", "duration": -Infinity}',
    "1e400": b'{"title": "x", "duration": 1e400}',
    "5,000 digits": b'{"title": "x", "duration": ' + b"9" * 5000 + b"}",
    "an id": b'{"title": "x", "duration": 1, "id": 7}',
    "an owner": b'{"title": "x", "duration": 1, "owner_id": 1}',
    "a version": b'{"title": "x", "duration": 1, "version": 9}',
    "a time": b'{"title": "x", "duration": 1, "created_at": "2020-01-01T00:00:00Z"}',
    "__proto__": b'{"title": "x", "duration": 1, "__proto__": {}}',
}

BAD_DURATIONS = [
    b"true", b"false", b"null", b'"5"', b"5.0", b"5.5", b"5e0", b"1e2", b"0", b"-1", b"-0", b"525601", b"2147483648",
    b"9223372036854775808", b"[5]", b"{}", '"٥"'.encode(), "٥".encode(), b"0x10", b"010", b"1_000", b"", b"+5",
]  # fmt: skip


class TestHostileBodies:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_are_refused_on_create(self, stack: Stack, ada: Account, name: str) -> None:
        before = stack.call("GET", "/api/tasks", token=ada.access).json()
        response = stack.send("POST", "/api/tasks", HOSTILE[name], token=ada.access, content_type="application/json")
        problem(response, 400)
        assert stack.call("GET", "/api/tasks", token=ada.access).json() == before

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    @pytest.mark.parametrize("name", HOSTILE)
    def test_are_refused_on_update(
        self, stack: Stack, ada: Account, task: dict[str, Any], name: str, method: str
    ) -> None:
        body = HOSTILE[name].replace(b', "duration": 1', b"")
        path = f"/api/tasks/{task['id']}"
        problem(stack.send(method, path, body, token=ada.access, content_type="application/json"), 400)
        assert stack.call("GET", path, token=ada.access).json() == task

    @pytest.mark.parametrize("duration", BAD_DURATIONS)
    def test_with_a_bad_duration_are_refused(self, stack: Stack, ada: Account, duration: bytes) -> None:
        body = b'{"title": "x", "duration": ' + duration + b"}"
        problem(stack.send("POST", "/api/tasks", body, token=ada.access, content_type="application/json"), 400)

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    @pytest.mark.parametrize("extra", [{"duration": 5}, {"duration": 30}, {"id": 1}, {"owner_id": 1}, {"x": 1}])
    def test_change_nothing_but_a_title(
        self, stack: Stack, ada: Account, task: dict[str, Any], method: str, extra: dict[str, Any]
    ) -> None:
        path = f"/api/tasks/{task['id']}"
        body = problem(stack.call(method, path, token=ada.access, json={"title": "changed", **extra}), 400)
        assert list(body["errors"]) == list(extra)
        assert stack.call("GET", path, token=ada.access).json() == task

    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    @pytest.mark.parametrize(
        "content_type",
        [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
            "application/json; charset=utf-16",
            "application/json; charset=bogus",
            "application/merge-patch+json",
            "json",
            "*/*",
        ],
    )
    def test_of_another_type_are_a_415(
        self, stack: Stack, ada: Account, task: dict[str, Any], method: str, content_type: str
    ) -> None:
        path = "/api/tasks" if method == "POST" else f"/api/tasks/{task['id']}"
        body = b'{"title": "x", "duration": 1}' if method == "POST" else b'{"title": "x"}'
        problem(stack.send(method, path, body, token=ada.access, content_type=content_type), 415)

    def test_that_are_compressed_are_a_415(self, stack: Stack, ada: Account) -> None:
        response = stack.call(
            "POST",
            "/api/tasks",
            token=ada.access,
            data=b"\x1f\x8b",
            headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
        )
        problem(response, 415)

    @pytest.mark.parametrize("size", [65_537, 3_000_000])
    def test_that_are_too_large_are_a_413(self, stack: Stack, ada: Account, size: int) -> None:
        body = b'{"title": "x", "duration": 1}'.ljust(size)
        problem(stack.send("POST", "/api/tasks", body, token=ada.access, content_type="application/json"), 413)

    def test_of_64_kib_are_taken(self, stack: Stack, ada: Account) -> None:
        body = b'{"title": "x", "duration": 1}'.ljust(65_536)
        response = stack.send("POST", "/api/tasks", body, token=ada.access, content_type="application/json")
        assert response.status_code == 201

    def test_that_are_chunked_are_read_whole(self, stack: Stack, ada: Account) -> None:
        response = stack.call(
            "POST",
            "/api/tasks",
            token=ada.access,
            data=iter([b'{"title": "in ', b'pieces", "duration": 1}']),
            headers={"Content-Type": "application/json"},
        )
        assert (response.status_code, response.json()["title"]) == (201, "in pieces")

    @pytest.mark.parametrize(
        "title", ["x" * 200, "😀" * 100, "a\u200b", "Ａ", "'; DROP TABLE tasks_task; --", "%s %(x)s", "<b>"]
    )
    def test_that_only_look_bad_are_stored_as_they_are(self, stack: Stack, ada: Account, title: str) -> None:
        created = stack.call("POST", "/api/tasks", token=ada.access, json={"title": title, "duration": 525_600})
        assert created.status_code == 201
        path = created.headers["Location"]
        assert stack.call("GET", path, token=ada.access).json()["title"] == title
        assert stack.call("PUT", path, token=ada.access, json={"title": title}).json()["title"] == title

    @pytest.mark.parametrize("title", ["\u200b", "\ufeff \u200b", "\u3164"])
    def test_that_are_invisible_are_refused_as_titles(self, stack: Stack, ada: Account, title: str) -> None:
        refused = stack.call("POST", "/api/tasks", token=ada.access, json={"title": title, "duration": 1})
        assert (refused.status_code, list(refused.json()["errors"])) == (400, ["title"])


class TestHostileAddresses:
    @pytest.mark.parametrize(
        "path",
        [
            "/api/tasks/0", "/api/tasks/-1", "/api/tasks/1.0", "/api/tasks/abc", "/api/tasks/%D9%A1",
            f"/api/tasks/{2**31}", f"/api/tasks/{2**63 - 1}", f"/api/tasks/{2**63}", "/api/tasks/" + "9" * 20,
            "/api/tasks/" + "9" * 5000, "/api/tasks/1%0a", "/api/tasks/1/2", "/api/tasks/01x",
            "/api/tasks//1", "/api/tasks/%31%2f", "/api/tasks/../auth/me", "/api/tasks/..%2fauth%2fme",
            "/api/tasksx", "/api", "/api/", "/admin/", "/admin/../api/tasks", "/_readyz/auth", "/_problem",
            "/static/x", "/.env", "/index.html", "/api/auth/admin", "/api/jobs/runs/0", "/api/jobs/x", "/api/TASKS",
        ],
    )  # fmt: skip
    def test_are_a_404(self, stack: Stack, forge: Callable[..., str], path: str) -> None:
        # Not the requests library, which would normalise the path.
        connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=30)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {forge(is_staff=True)}"})
            response = connection.getresponse()
            body = json.loads(response.read())
        finally:
            connection.close()
        assert (response.status, response.headers["Content-Type"]) == (404, "application/problem+json")
        assert body["title"] == "Not Found"

    def test_with_a_nul_are_a_400(self, stack: Stack, ada: Account) -> None:
        problem(stack.call("GET", "/api/tasks/1%00", token=ada.access), 400)

    @pytest.mark.parametrize(
        "query",
        ["limit=0", "limit=101", "limit=-1", "limit=x", "limit=1.0", "limit=%D9%A1", "limit=", "before=x", "before=",
         "before=MS4x%00", "before=" + "A" * 4000, "before=-", "limit=" + "9" * 4000],
    )  # fmt: skip
    def test_with_a_bad_query_are_a_400(self, stack: Stack, ada: Account, query: str) -> None:
        body = problem(stack.call("GET", f"/api/tasks?{query}", token=ada.access), 400)
        assert list(body["errors"]) == [query.partition("=")[0]]

    @pytest.mark.parametrize("value", ["x", "3", "''", '"1', "*, *", '"1" "2"', ", ".join(['"1"'] * 11), '"\x80'])
    def test_with_a_malformed_if_match_are_a_400(
        self, stack: Stack, ada: Account, task: dict[str, Any], value: str
    ) -> None:
        path = f"/api/tasks/{task['id']}"
        headers = {"If-Match": value.encode("latin-1")}
        problem(stack.call("DELETE", path, token=ada.access, headers=headers), 400)
        assert stack.call("GET", path, token=ada.access).status_code == 200


class TestIfMatch:
    @pytest.fixture
    def tag(self, stack: Stack, ada: Account, task: dict[str, Any]) -> str:
        return stack.call("GET", f"/api/tasks/{task['id']}", token=ada.access).headers["ETag"]

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    @pytest.mark.parametrize("value", ['"999"', "W/{}", '"0"', '"x"', '"2", W/{}'])
    def test_that_is_stale_is_a_412(
        self, stack: Stack, ada: Account, task: dict[str, Any], tag: str, method: str, value: str
    ) -> None:
        path = f"/api/tasks/{task['id']}"
        body = None if method == "DELETE" else {"title": "late"}
        headers = {"If-Match": value.format(tag)}
        problem(stack.call(method, path, token=ada.access, json=body, headers=headers), 412)
        assert stack.call("GET", path, token=ada.access).json() == task

    @pytest.mark.parametrize("value", ["*", "{}", '"999", {}', "W/{0}, {0}"])
    def test_that_is_current_lets_through(
        self, stack: Stack, ada: Account, task: dict[str, Any], tag: str, value: str
    ) -> None:
        path = f"/api/tasks/{task['id']}"
        headers = {"If-Match": value.format(tag)}
        response = stack.call("PATCH", path, token=ada.access, json={"title": "new"}, headers=headers)
        assert (response.status_code, response.headers["ETag"] == tag) == (200, False)


class TestTheGateway:
    def test_gives_every_request_an_id_of_its_own_that_the_service_logs(self, stack: Stack, ada: Account) -> None:
        response = stack.call("GET", "/api/tasks", token=ada.access, headers={"X-Request-ID": "f" * 32})
        identifier = response.headers["X-Request-ID"]
        assert identifier != "f" * 32
        stack.wait_for_line(lambda line: identifier in line, timeout=5)
        [line] = [line for line in stack.log() if line["request_id"] == identifier]
        assert (line["service"], line["method"], line["path"], line["status"], line["user_id"]) == (
            "tasks", "GET", "/api/tasks", 200, ada.id,
        )  # fmt: skip

    def test_limits_logins_by_address_and_says_when_to_come_back(self, stack: Stack) -> None:
        responses = [
            requests.post(
                stack.url + "/api/auth/token", json={}, timeout=10, headers={"X-Forwarded-For": f"192.0.2.{n}"}
            )
            for n in range(60)
        ]
        statuses = [response.status_code for response in responses]
        assert set(statuses) == {400, 429}
        refused = responses[statuses.index(429)]
        problem(refused, 429)
        assert int(refused.headers["Retry-After"]) >= 1
        assert statuses.count(400) >= 20  # The permitted burst.

    @pytest.mark.parametrize(
        ("method", "path"),
        [("DELETE", "/api/tasks"), ("POST", "/api/tasks/1"), ("PUT", "/api/auth/me"), ("POST", "/api/jobs")],
    )
    def test_passes_a_services_405_with_its_allow(
        self, stack: Stack, forge: Callable[..., str], method: str, path: str
    ) -> None:
        response = stack.call(method, path, token=forge(is_staff=True))
        problem(response, 405)
        assert "GET" in response.headers["Allow"]
        assert method not in response.headers["Allow"]

    @pytest.mark.parametrize("path", ["/api/tasks", "/api/auth/me", "/nothing", "/", "/healthz", "/readyz"])
    def test_sets_the_security_headers_on_every_answer(self, stack: Stack, path: str) -> None:
        headers = stack.call("GET", path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Server"] == "nginx"


def test_no_log_line_holds_a_token_or_a_password(stack: Stack, ada: Account, forge: Callable[..., str]) -> None:
    bad = forge(user_id="0")
    secret = "a password that is wrong"
    stack.call("GET", f"/api/tasks?token={ada.access}", token=bad)
    stack.call("POST", "/api/auth/token", json={"username": "ada", "password": secret})
    stack.call("POST", "/api/auth/token/refresh", json={"refresh": ada.refresh})
    marker = stack.call("GET", f"/nothing?token={ada.access}").headers["X-Request-ID"]
    stack.wait_for_line(lambda line: marker in line, timeout=5)
    output = "".join(stack.lines)
    signatures = [token.rsplit(".")[-1] for token in (ada.access, ada.refresh, bad)]
    for hidden in (secret, stack.secret, *signatures):
        assert hidden not in output


def test_every_line_of_a_service_is_json_with_the_common_fields(stack: Stack, ada: Account) -> None:
    stack.call("GET", "/api/tasks", token=ada.access)
    stack.call("GET", "/nothing")
    fields = {"time", "service", "level", "request_id", "method", "path", "status", "duration_ms"}
    requests_logged = [line for line in stack.log() if line.get("message") == "request"]
    assert {line["service"] for line in requests_logged} >= {"auth", "tasks", "gateway"}
    for line in requests_logged:
        # The gateway does not parse tokens.
        assert fields | ({"user_id"} if line["service"] != "gateway" else set()) <= set(line)
