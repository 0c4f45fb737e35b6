"""The HTTP contract of /api/auth, tested with Django's client."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client
from django.urls import get_resolver, reverse

from accounts.users.models import User
from servicekit.testing import make_token
from tests.clients import bearer, begin_session_of

PASSWORD = "correct horse battery"

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ada", PASSWORD, email="ada@example.com")


def post(client: Client, path: str, body: Any, **headers: str) -> Any:
    return client.post(f"/api/auth/{path}", json.dumps(body), content_type="application/json", headers=headers)


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


class TestRegister:
    def test_returns_the_user_and_never_the_password(self, client: Client) -> None:
        response = post(client, "register", {"username": " Ada ", "password": PASSWORD, "email": "a@b.example"})
        user = User.objects.get()
        assert response.status_code == 201
        assert response.headers["Location"] == "/api/auth/me"
        assert response.json() == {
            "id": user.id,
            "username": "ada",
            "email": "a@b.example",
            "is_staff": False,
            "date_joined": user.date_joined.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }

    def test_stores_an_argon2id_hash(self, client: Client) -> None:
        post(client, "register", {"username": "ada", "password": PASSWORD})
        assert User.objects.get().password.startswith("argon2$argon2id$")

    @pytest.mark.parametrize("spelling", ["ada", "ADA", " Ada\t", "ａｄａ", "𝐀da"])
    def test_refuses_another_spelling_of_a_taken_name(self, client: Client, user: User, spelling: str) -> None:
        response = post(client, "register", {"username": spelling, "password": PASSWORD})
        assert response.status_code == 400
        assert response.json()["errors"] == {"username": ["This name is taken."]}
        assert User.objects.count() == 1

    @pytest.mark.parametrize(
        ("password", "reason"),
        [
            ("short12", "too short"),
            # One character that normalises to eighteen.
            ("\ufdfa", "too short"),
            ("12345678901", "entirely numeric"),
            ("password123", "too common"),
            ("ada.lovelace1", "too similar to the username"),
            ("x" * 129, "no more than 128"),
            (12345678, "valid string"),
            ("abc\0defghij", "Null characters"),
            (None, "may not be null"),
        ],
    )
    def test_names_the_rule_that_a_password_breaks(self, client: Client, password: Any, reason: str) -> None:
        response = post(client, "register", {"username": "ada.lovelace", "password": password})
        assert response.status_code == 400
        assert list(response.json()["errors"]) == ["password"]
        assert reason in " ".join(response.json()["errors"]["password"])
        assert not User.objects.exists()

    def test_takes_a_password_of_128_characters_with_its_spaces(self, client: Client) -> None:
        password = " " + "é😀" * 63 + " "
        assert len(password) == 128
        assert post(client, "register", {"username": "ada", "password": password}).status_code == 201
        assert post(client, "token", {"username": "ada", "password": password}).status_code == 200
        assert post(client, "token", {"username": "ada", "password": password.strip()}).status_code == 401

    @pytest.mark.parametrize(
        "username",
        ["", "  ", "two words", "nul\0", "a/b", "a\u200bb", "x" * 151, "😀", 7, True, None, ["ada"], "\U00020000" * 76],
    )
    def test_refuses_a_bad_name(self, client: Client, username: Any) -> None:
        response = post(client, "register", {"username": username, "password": PASSWORD})
        assert response.status_code == 400
        assert list(response.json()["errors"]) == ["username"]

    def test_takes_a_name_of_150_utf16_units(self, client: Client) -> None:
        response = post(client, "register", {"username": "\U00020000" * 75, "password": PASSWORD})
        assert response.status_code == 201

    @pytest.mark.parametrize("field", ["is_staff", "is_active", "id", "is_superuser", "date_joined"])
    def test_refuses_what_a_user_may_not_choose(self, client: Client, field: str) -> None:
        response = post(client, "register", {"username": "ada", "password": PASSWORD, field: True})
        assert response.status_code == 400
        assert list(response.json()["errors"]) == [field]
        assert not User.objects.exists()

    @pytest.mark.parametrize("email", ["nobody", "a@b", 5, "x" * 250 + "@b.example"])
    def test_refuses_a_bad_address(self, client: Client, email: Any) -> None:
        response = post(client, "register", {"username": "ada", "password": PASSWORD, "email": email})
        assert response.status_code == 400
        assert list(response.json()["errors"]) == ["email"]

    def test_hashes_outside_of_the_transaction(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """Otherwise each registration would hold SQLite's write lock while it hashes."""
        hashing_in = []
        real = User.set_password
        monkeypatch.setattr(
            User,
            "set_password",
            lambda user, raw: (hashing_in.append(len(connection.savepoint_ids)), real(user, raw)),
        )
        before = len(connection.savepoint_ids)
        assert post(client, "register", {"username": "ada", "password": PASSWORD}).status_code == 201
        assert hashing_in == [before]

    @pytest.mark.parametrize("password", [" " * 8, "\u200b" * 8, "\r\n" * 4, "\u3000" * 10, "\u3164" * 8])
    def test_refuses_an_invisible_password(self, client: Client, password: str) -> None:
        response = post(client, "register", {"username": "ada", "password": password})
        assert (response.status_code, list(response.json()["errors"])) == (400, ["password"])

    @pytest.mark.parametrize(
        ("password", "reason"),
        [
            ("ｐａｓｓｗｏｒｄ１２３", "too common"),
            ("ａｄａ.ｌｏｖｅｌａｃｅ", "too similar"),
            ("e\u0301" * 7, "too short"),
        ],
    )
    def test_applies_the_rules_to_the_spelling_that_is_stored(self, client: Client, password: str, reason: str) -> None:
        response = post(client, "register", {"username": "ada.lovelace", "password": password})
        assert response.status_code == 400
        assert reason in " ".join(response.json()["errors"]["password"])


class TestToken:
    def test_takes_a_password_in_another_spelling(self, client: Client) -> None:
        post(client, "register", {"username": "ada", "password": "cafe\u0301 au lait"})
        body = {"username": "ada", "password": "caf\u00e9 au lait"}
        assert post(client, "token", body).status_code == 200

    def test_takes_a_long_spelling_of_a_name_that_fits(self, client: Client) -> None:
        body = {"username": "e\u0301" * 150, "password": PASSWORD}
        assert post(client, "register", body).status_code == 201
        assert post(client, "token", body).status_code == 200

    def test_answers_with_a_pair_of_tokens(self, client: Client, user: User) -> None:
        response = post(client, "token", {"username": "ADA ", "password": PASSWORD})
        body = response.json()
        assert response.status_code == 200
        assert list(body) == ["access", "refresh", "token_type", "expires_in"]
        assert (body["token_type"], body["expires_in"]) == ("Bearer", 300)
        assert response.headers["Cache-Control"] == "no-store"

    def test_signs_with_the_first_key_that_the_file_holds_by_now(
        self, client: Client, user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "keys").write_text(f"rotated:{'r' * 40},{os.environ['JWT_KEYS']}")
        monkeypatch.delenv("JWT_KEYS")
        monkeypatch.setenv("JWT_KEYS_FILE", str(tmp_path / "keys"))
        monkeypatch.setattr("servicekit.tokens.keyring._copy", None)
        pair = post(client, "token", {"username": "ada", "password": PASSWORD}).json()
        assert {jwt.get_unverified_header(pair[name])["kid"] for name in ("access", "refresh")} == {"rotated"}
        assert post(client, "token/refresh", {"refresh": pair["refresh"]}).status_code == 200

    def test_an_access_token_says_who_and_lasts_5_minutes(self, client: Client, user: User) -> None:
        access = post(client, "token", {"username": "ada", "password": PASSWORD}).json()["access"]
        claims = claims_of(access)
        assert jwt.get_unverified_header(access) == {"alg": "HS256", "kid": "current", "typ": "JWT"}
        assert set(claims) == {"iss", "aud", "token_type", "user_id", "sid", "jti", "iat", "exp", "is_staff"}
        assert (claims["iss"], claims["aud"], claims["token_type"]) == ("auth", "task-api", "access")
        assert (claims["user_id"], claims["is_staff"]) == (str(user.id), False)
        assert 299 <= claims["exp"] - claims["iat"] <= 300

    def test_a_refresh_token_lasts_7_days(self, client: Client, user: User) -> None:
        claims = claims_of(post(client, "token", {"username": "ada", "password": PASSWORD}).json()["refresh"])
        assert claims["token_type"] == "refresh"
        assert claims["exp"] - claims["iat"] == 7 * 24 * 60 * 60

    def test_every_login_is_its_own_session(self, client: Client, user: User) -> None:
        body = {"username": "ada", "password": PASSWORD}
        first, second = (post(client, "token", body).json() for _ in range(2))
        assert claims_of(first["access"])["sid"] == claims_of(first["refresh"])["sid"]
        assert claims_of(first["access"])["sid"] != claims_of(second["access"])["sid"]
        assert claims_of(first["access"])["jti"] != claims_of(second["access"])["jti"]

    def test_says_staff_of_staff(self, client: Client) -> None:
        User.objects.create_superuser("root", PASSWORD)
        access = post(client, "token", {"username": "root", "password": PASSWORD}).json()["access"]
        assert claims_of(access)["is_staff"] is True

    def test_unknown_wrong_and_inactive_are_one_answer(self, client: Client, user: User) -> None:
        User.objects.create_user("gone", PASSWORD)
        User.objects.filter(username="gone").update(is_active=False)
        responses = [
            post(client, "token", {"username": name, "password": password})
            for name, password in [("nobody", PASSWORD), ("ada", "wrong horse"), ("gone", PASSWORD), ("a b", "x")]
        ]
        bodies = [{k: v for k, v in response.json().items() if k != "request_id"} for response in responses]
        assert [response.status_code for response in responses] == [401] * 4
        assert {response.headers["WWW-Authenticate"] for response in responses} == {'Bearer realm="api"'}
        assert all(body == bodies[0] for body in bodies)

    def test_upgrades_an_old_hash(self, client: Client, user: User) -> None:
        User.objects.filter(id=user.id).update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
        assert post(client, "token", {"username": "ada", "password": PASSWORD}).status_code == 200
        user.refresh_from_db()
        assert user.password.startswith("argon2$")

    def test_does_not_look_at_an_authorization_header(self, client: Client, user: User) -> None:
        response = post(client, "token", {"username": "ada", "password": PASSWORD}, Authorization="Bearer expired")
        assert response.status_code == 200

    @pytest.mark.parametrize(
        "body", [{}, [], None, "x", 5, {"username": "ada"}, {"username": {}, "password": []}, {"a": 1}]
    )
    def test_refuses_a_body_of_another_shape(self, client: Client, user: User, body: Any) -> None:
        response = post(client, "token", body)
        assert response.status_code == 400
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["errors"]

    def test_logs_neither_password_nor_token(
        self, client: Client, user: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        good = post(client, "token", {"username": "ada", "password": PASSWORD}).json()
        post(client, "token", {"username": "ada", "password": "wrong-secret"})
        post(client, "token/refresh", {"refresh": good["refresh"]})
        client.get("/api/auth/me?token=" + good["access"], headers={"Authorization": "Bearer " + good["access"]})
        logged = "\n".join(str(record.__dict__) for record in caplog.records)
        assert "/api/auth/token" in logged
        for secret in (PASSWORD, "wrong-secret", good["access"], good["refresh"]):
            assert secret not in logged


class TestRefresh:
    def test_answers_with_a_new_pair_of_the_same_session(self, client: Client, user: User) -> None:
        first = post(client, "token", {"username": "ada", "password": PASSWORD}).json()
        response = post(client, "token/refresh", {"refresh": first["refresh"]})
        second = response.json()
        assert response.status_code == 200
        assert list(second) == list(first)
        assert claims_of(second["access"])["sid"] == claims_of(first["access"])["sid"]
        assert claims_of(second["access"])["jti"] != claims_of(first["access"])["jti"]

    def test_says_what_the_user_is_now(self, client: Client, user: User) -> None:
        first = post(client, "token", {"username": "ada", "password": PASSWORD}).json()
        User.objects.filter(id=user.id).update(is_staff=True)
        second = post(client, "token/refresh", {"refresh": first["refresh"]}).json()
        assert claims_of(second["access"])["is_staff"] is True

    @pytest.mark.parametrize("change", ["deleted", "inactive"])
    def test_refuses_a_user_who_is_gone(self, client: Client, user: User, change: str) -> None:
        refresh = post(client, "token", {"username": "ada", "password": PASSWORD}).json()["refresh"]
        if change == "deleted":
            user.delete()
        else:
            User.objects.filter(id=user.id).update(is_active=False)
        response = post(client, "token/refresh", {"refresh": refresh})
        assert response.status_code == 401
        assert response.json()["detail"] == "The session has ended."

    def test_refuses_an_access_token(self, client: Client, user: User) -> None:
        response = post(client, "token/refresh", {"refresh": make_token(user.id)})
        assert response.status_code == 401
        assert response.json()["detail"] == "This is not a refresh token."

    @pytest.mark.parametrize("token", ["", "a.b.c", "x" * 4097, None, 5, {}])
    def test_refuses_what_is_no_token(self, client: Client, token: Any) -> None:
        assert post(client, "token/refresh", {"refresh": token}).status_code in (400, 401)


class TestVerify:
    def test_takes_both_types_of_token(self, client: Client, user: User) -> None:
        pair = post(client, "token", {"username": "ada", "password": PASSWORD}).json()
        responses = [post(client, "token/verify", {"token": pair[name]}) for name in ("access", "refresh")]
        assert [(response.status_code, response.json()) for response in responses] == [(200, {}), (200, {})]

    @pytest.mark.parametrize("token", ["a.b.c", "é.ü.😀", "eyJhbGciOiJub25lIn0.e30."])
    def test_refuses_a_bad_one(self, client: Client, token: str) -> None:
        response = post(client, "token/verify", {"token": token})
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


class TestMe:
    def test_shows_the_caller(self, client: Client, user: User) -> None:
        response = client.get("/api/auth/me", headers=bearer(user))
        assert response.status_code == 200
        assert (response.json()["id"], response.json()["username"]) == (user.id, "ada")

    @pytest.mark.parametrize("email", ["new@example.com", ""])
    def test_changes_the_address(self, client: Client, user: User, email: str) -> None:
        response = client.patch(
            "/api/auth/me/", json.dumps({"email": email}), content_type="application/json", headers=bearer(user)
        )
        user.refresh_from_db()
        assert (response.status_code, response.json()["email"], user.email) == (200, email, email)

    @pytest.mark.parametrize("field", ["username", "password", "is_staff", "is_active", "id"])
    def test_changes_nothing_else(self, client: Client, user: User, field: str) -> None:
        before = User.objects.values().get()
        response = client.patch(
            "/api/auth/me",
            json.dumps({"email": "new@example.com", field: "x"}),
            content_type="application/json",
            headers=bearer(user),
        )
        assert response.status_code == 400
        assert list(response.json()["errors"]) == [field]
        assert User.objects.values().get() == before

    @pytest.mark.parametrize("user_id", [999_999, 2**63 - 1])
    def test_refuses_the_token_of_an_unknown_user(self, client: Client, user: User, user_id: int) -> None:
        session = begin_session_of(user)
        token = make_token(user_id, sid=str(session.id))
        response = client.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 401
        assert response.json()["detail"] == "The session has ended."
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'


TEXTS = {
    "NUL": "a\0b" * 4,
    "half of a surrogate pair": "abcdefgh\ud800",
    "the other half": "\udfffabcdefgh",
    "emoji": "😀🏳️‍🌈" * 4,
    "letters of other scripts": "пароль密码암호",
    "combining marks": "e\u0301" * 8,
    "a hundred marks on a letter": "a" + "\u0301" * 100,
    "a letter that NFKC makes 18": "\ufdfa" * 8,
    "150 of them": "\ufdfa" * 150,
    "letters that change when folded": "İıßſΣςK" * 2,
    "right to left, reversed": "\u202egnihtyreve\u202c",
    "nothing to be seen": "\u200b\u2060\ufeff\u00ad" * 4,
    "line breaks of Unicode": "one\u2028two\u2029\u0085",
    "no characters": "\ufffe\uffff\U0010ffff" * 4,
    "private use and tags": "\ue000\U000e0041" * 6,
    "an escape sequence": "\x1b[2Jabcdefgh",
    "digits of another script": "١٢٣٤٥٦٧٨",
    "a domain": "ada@exämple.example",
}
FIELDS = {
    "register": ("username", "password", "email"),
    "token": ("username", "password"),
    "token/refresh": ("refresh",),
    "token/verify": ("token",),
    "logout": ("refresh",),
    "password": ("current", "new"),
    "me": ("email",),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize(("path", "field"), [(path, field) for path, fields in FIELDS.items() for field in fields])
def test_any_text_in_any_field_is_taken_as_it_is_or_refused(
    client: Client, user: User, path: str, field: str, text: str
) -> None:
    body = {
        "register": {"username": "eve", "password": PASSWORD, "email": "eve@example.com"},
        "token": {"username": "ada", "password": PASSWORD},
        "password": {"current": PASSWORD, "new": "another horse battery"},
    }.get(path, {}) | {field: text}
    response = client.generic(
        "PATCH" if path == "me" else "POST",
        f"/api/auth/{path}",
        json.dumps(body),
        content_type="application/json",
        headers=bearer(user),
    )
    if response.status_code in (400, 401):
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["status"] == response.status_code
        return
    assert response.status_code in (200, 201, 204)
    if field == "email":
        assert response.json()["email"] == text
    elif path in ("register", "password"):
        credentials = {"username": body.get("username", "ada"), "password": body.get("new", body.get("password"))}
        assert post(client, "token", credentials).status_code == 200
    else:
        assert path == "logout"


PUBLIC = {
    "/healthz",
    "/readyz",
    "/api/auth/register",
    "/api/auth/token",
    "/api/auth/token/refresh",
    "/api/auth/token/verify",
    "/api/auth/logout",
}
EXAMPLES = {"session_id": "00000000-0000-4000-8000-000000000000"}


def test_every_route_but_the_public_ones_refuses_strangers(client: Client) -> None:
    patterns = [p for entry in get_resolver().url_patterns for p in getattr(entry, "url_patterns", [entry])]
    paths = {
        f"/{pattern.pattern}"
        if "^" not in str(pattern.pattern)
        else reverse(pattern.name, kwargs={name: EXAMPLES[name] for name in pattern.pattern.regex.groupindex})
        for pattern in patterns
    }
    assert paths > PUBLIC
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
        refused = {path for path in paths if client.generic(method, path).status_code == 401}
        assert refused == paths - PUBLIC, method
