"""Sessions: rotation, replay, and the events that end one."""

import datetime
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jwt
import pytest
import time_machine
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client

from accounts import urls as accounts_urls
from accounts.credentials import services
from accounts.sessions import services as sessions
from accounts.sessions.announcements import announce_missing
from accounts.sessions.models import Session
from accounts.users.models import User
from servicekit.process.redis_client import connect
from servicekit.testing import make_token
from servicekit.tokens.verifier import InvalidToken
from tests.clients import bearer, begin_session_of
from tests.statements import statements

PASSWORD = "correct horse battery"
NOON = datetime.datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ada", PASSWORD)


@pytest.fixture(autouse=True)
def commit(request: pytest.FixtureRequest, django_capture_on_commit_callbacks: Callable[..., Any]) -> Iterator[None]:
    """Run on_commit callbacks immediately in tests that are rolled back."""
    if request.node.get_closest_marker("django_db").kwargs.get("transaction"):
        yield
        return
    real = sessions.transaction.on_commit
    sessions.transaction.on_commit = lambda callback: callback()
    yield
    sessions.transaction.on_commit = real


def log_in(user: User, *, user_agent: str = FIREFOX, client: str = "192.0.2.1") -> dict[str, Any]:
    pair = sessions.begin_session(user=user, user_agent=user_agent, client=client)
    assert pair is not None
    return pair


def rotate(token: str, *, client: str = "192.0.2.1") -> dict[str, Any]:
    return sessions.rotate_session(token=token, user_agent=FIREFOX, client=client)


def sid(pair: dict[str, Any]) -> str:
    return jwt.decode(pair["access"], options={"verify_signature": False})["sid"]


class TestRotation:
    def test_moves_the_session_on(self, user: User, time_machine: time_machine.TimeMachineFixture) -> None:
        time_machine.move_to(NOON, tick=False)
        first = log_in(user)
        time_machine.move_to(NOON + 60 * SECOND, tick=False)
        second = rotate(first["refresh"], client="2001:db8::1")
        session = Session.objects.get()
        assert second != first
        assert sid(second) == sid(first) == str(session.id)
        assert (session.created_at, session.rotated_at) == (NOON, NOON + 60 * SECOND)
        assert session.expires_at == session.rotated_at + datetime.timedelta(days=7)
        assert session.address == "2001:db8::1"

    @pytest.mark.parametrize("later", [0, 3, 10])
    def test_of_one_token_again_within_10_s_gives_the_same_bytes(
        self, user: User, time_machine: time_machine.TimeMachineFixture, later: int
    ) -> None:
        time_machine.move_to(NOON, tick=False)
        first = log_in(user)
        second = rotate(first["refresh"])
        time_machine.move_to(NOON + later * SECOND, tick=False)
        assert json.dumps(rotate(first["refresh"])) == json.dumps(second)
        assert rotate(second["refresh"])["refresh"] != second["refresh"]

    def test_of_one_token_again_later_ends_the_session(
        self,
        user: User,
        announced: list[str],
        caplog: pytest.LogCaptureFixture,
        time_machine: time_machine.TimeMachineFixture,
    ) -> None:
        time_machine.move_to(NOON, tick=False)
        first = log_in(user)
        second = rotate(first["refresh"])
        time_machine.move_to(NOON + 10.001 * SECOND, tick=False)
        with pytest.raises(InvalidToken):
            rotate(first["refresh"], client="203.0.113.9")
        assert not Session.objects.exists()
        assert announced == [sid(first)]
        with pytest.raises(InvalidToken):
            rotate(second["refresh"])
        [record] = [record for record in caplog.records if record.message == "refresh token replayed"]
        assert (record.levelno, record.user_id, record.session_id, record.client) == (
            logging.WARNING, user.id, sid(first), "203.0.113.9",
        )  # fmt: skip

    def test_of_a_token_from_before_the_last_one_ends_the_session_at_once(
        self, user: User, announced: list[str]
    ) -> None:
        first = log_in(user)
        rotate(rotate(first["refresh"])["refresh"])
        with pytest.raises(InvalidToken):
            rotate(first["refresh"])
        assert not Session.objects.exists()
        assert announced == [sid(first)]

    def test_goes_on_for_30_days_and_not_longer(
        self, user: User, announced: list[str], time_machine: time_machine.TimeMachineFixture
    ) -> None:
        time_machine.move_to(NOON, tick=False)
        pair = log_in(user)
        end = NOON + datetime.timedelta(days=30)
        for day in (6, 12, 18, 24, 29):
            time_machine.move_to(NOON + datetime.timedelta(days=day), tick=False)
            pair = rotate(pair["refresh"])
        assert Session.objects.get().expires_at == end
        assert jwt.decode(pair["refresh"], options={"verify_signature": False})["exp"] == int(end.timestamp())
        time_machine.move_to(end - SECOND, tick=False)
        pair = rotate(pair["refresh"])
        time_machine.move_to(end, tick=False)
        with pytest.raises(InvalidToken):
            rotate(pair["refresh"])

    def test_is_not_for_a_session_unused_for_7_days(
        self, user: User, time_machine: time_machine.TimeMachineFixture
    ) -> None:
        time_machine.move_to(NOON, tick=False)
        pair = log_in(user)
        time_machine.move_to(NOON + datetime.timedelta(days=7), tick=False)
        with pytest.raises(InvalidToken):
            rotate(pair["refresh"])

    def test_leaves_other_sessions_alone(self, user: User, announced: list[str]) -> None:
        first, other = log_in(user), log_in(user)
        rotate(rotate(first["refresh"])["refresh"])
        with pytest.raises(InvalidToken):
            rotate(first["refresh"])
        assert rotate(other["refresh"])

    def test_of_a_token_of_another_users_session_is_refused(self, user: User) -> None:
        pair = log_in(user)
        other = User.objects.create_user("eve", PASSWORD)
        forged = make_token(
            other.id, token_type="refresh", sid=sid(pair), jti=Session.objects.get().refresh_jti, is_staff=None
        )
        with pytest.raises(InvalidToken):
            rotate(forged)
        assert rotate(pair["refresh"])

    @pytest.mark.django_db(transaction=True)
    def test_of_one_token_16_times_at_once_has_one_successor(self, user: User) -> None:
        first = log_in(user)

        def attempt(_: int) -> str:
            try:
                return json.dumps(rotate(first["refresh"]))
            finally:
                connection.close()

        with ThreadPoolExecutor(max_workers=16) as pool:
            responses = set(pool.map(attempt, range(16)))
        assert len(responses) == 1
        session = Session.objects.get()
        assert json.loads(responses.pop())["refresh"] != first["refresh"]
        assert session.previous_jti == jwt.decode(first["refresh"], options={"verify_signature": False})["jti"]
        # Deleted here, since the flush after the test empties the tables in any order, which not every server allows.
        user.delete()


class TestWhatEndsASession:
    @pytest.fixture
    def pair(self, user: User) -> dict[str, Any]:
        return log_in(user)

    @pytest.fixture(autouse=True)
    def is_ended(self, pair: dict[str, Any], announced: list[str]) -> Iterator[None]:
        """Check after each test that it has ended the session."""
        yield
        assert announced == [sid(pair)]
        assert not Session.objects.filter(id=sid(pair)).exists()
        with pytest.raises(InvalidToken):
            rotate(pair["refresh"])

    def test_logout(self, client: Client, pair: dict[str, Any]) -> None:
        for _ in range(2):
            response = client.post("/api/auth/logout", {"refresh": pair["refresh"]}, content_type="application/json")
            assert (response.status_code, response.content) == (204, b"")

    def test_logout_by_a_token_that_was_rotated(self, client: Client, pair: dict[str, Any]) -> None:
        rotate(pair["refresh"])
        client.post("/api/auth/logout", {"refresh": pair["refresh"]}, content_type="application/json")

    def test_the_owner(self, client: Client, user: User, pair: dict[str, Any]) -> None:
        response = client.delete(f"/api/auth/sessions/{sid(pair)}", headers=bearer(user))
        assert response.status_code == 204

    def test_the_owner_everywhere(self, client: Client, user: User) -> None:
        assert (
            client.delete("/api/auth/sessions/", headers=bearer(user, session=Session.objects.get())).status_code == 204
        )

    def test_a_new_password_elsewhere(self, client: Client, user: User, pair: dict[str, Any]) -> None:
        other = log_in(user)
        response = client.post(
            "/api/auth/password",
            {"current": PASSWORD, "new": "another horse battery"},
            content_type="application/json",
            headers={"Authorization": f"Bearer {other['access']}"},
        )
        assert response.status_code == 204
        user.refresh_from_db()
        assert user.check_password("another horse battery")
        assert rotate(other["refresh"])

    @pytest.mark.parametrize(("field", "value"), [("is_active", False), ("is_staff", True)])
    def test_other_rights(self, user: User, field: str, value: bool) -> None:
        stored = User.objects.get(id=user.id)
        setattr(stored, field, value)
        stored.save()

    def test_a_password_that_an_operator_sets(self, user: User) -> None:
        stored = User.objects.get(id=user.id)
        stored.set_password("another horse battery")
        stored.save()

    def test_other_rights_of_a_user_who_was_made_and_not_read(self, user: User) -> None:
        user.is_active = False
        user.save()

    def test_other_rights_of_a_user_who_was_read_in_part(self, user: User) -> None:
        stored = User.objects.only("username").get(id=user.id)
        stored.is_active = False
        stored.save(update_fields=["is_active"])

    def test_the_end_of_the_user(self, user: User) -> None:
        user.delete()

    def test_the_end_of_all_users(self) -> None:
        User.objects.all().delete()


class TestWhatEndsNone:
    @pytest.fixture
    def pair(self, user: User) -> dict[str, Any]:
        return log_in(user)

    @pytest.fixture(autouse=True)
    def goes_on(self, pair: dict[str, Any], announced: list[str]) -> Iterator[None]:
        """Check after each test that the session has not ended."""
        yield
        assert announced == []
        assert rotate(pair["refresh"])

    def test_another_user(self, client: Client, pair: dict[str, Any]) -> None:
        eve = User.objects.create_user("eve", PASSWORD)
        foreign = client.delete(f"/api/auth/sessions/{sid(pair)}", headers=bearer(eve))
        missing = client.delete("/api/auth/sessions/00000000-0000-4000-8000-000000000000", headers=bearer(eve))
        assert foreign.status_code == missing.status_code == 404
        assert foreign.json()["detail"] == missing.json()["detail"]

    @pytest.mark.parametrize("body", [{"refresh": "a.b.c"}, {"refresh": "x"}])
    def test_a_logout_by_no_token(self, client: Client, body: dict[str, Any]) -> None:
        assert client.post("/api/auth/logout", body, content_type="application/json").status_code == 204

    def test_a_logout_by_an_access_token(self, client: Client, pair: dict[str, Any]) -> None:
        response = client.post("/api/auth/logout", {"refresh": pair["access"]}, content_type="application/json")
        assert response.status_code == 204

    def test_an_upgraded_hash(self, client: Client, user: User) -> None:
        User.objects.filter(id=user.id).update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
        body = {"username": "ada", "password": PASSWORD}
        assert client.post("/api/auth/token", body, content_type="application/json").status_code == 200
        assert User.objects.get().password.startswith("argon2")

    def test_a_new_address(self, client: Client, user: User) -> None:
        body = {"email": "ada@example.com"}
        assert (
            client.patch("/api/auth/me", body, content_type="application/json", headers=bearer(user)).status_code == 200
        )

    @pytest.mark.parametrize(
        ("current", "new", "field"),
        [
            ("wrong horse", "another horse battery", "current"),
            (PASSWORD, "short", "new"),
            (PASSWORD, "12345678910", "new"),
        ],
    )
    def test_a_refused_password(self, client: Client, user: User, current: str, new: str, field: str) -> None:
        response = client.post(
            "/api/auth/password",
            {"current": current, "new": new},
            content_type="application/json",
            headers=bearer(user),
        )
        assert response.status_code == 400
        assert list(response.json()["errors"]) == [field]
        user.refresh_from_db()
        assert user.check_password(PASSWORD)


EVERY_CALL = [
    ("GET", "me"),
    ("PATCH", "me"),
    ("POST", "password"),
    ("GET", "sessions"),
    ("DELETE", "sessions"),
    ("DELETE", "sessions/00000000-0000-4000-8000-000000000000"),
]


@pytest.mark.parametrize(("method", "path"), EVERY_CALL)
@pytest.mark.parametrize("how", ["ended", "inactive", "deleted"])
def test_auth_refuses_the_access_token_at_once_without_redis(
    client: Client, user: User, method: str, path: str, how: str
) -> None:
    pair = log_in(user)
    other = log_in(User.objects.create_user("eve", PASSWORD))

    def call(access: str) -> Any:
        return client.generic(
            method, f"/api/auth/{path}", "{}", "application/json", headers={"Authorization": f"Bearer {access}"}
        )

    if how == "ended":
        client.post("/api/auth/logout", {"refresh": pair["refresh"]}, content_type="application/json")
    elif how == "inactive":
        User.objects.filter(id=user.id).update(is_active=False)
    else:
        user.delete()
    response = call(pair["access"])
    assert (response.status_code, response.json()["detail"]) == (401, "The session has ended.")
    assert call(other["access"]).status_code in (200, 204, 400, 404)


def test_every_call_that_takes_a_token_is_tried() -> None:
    """EVERY_CALL is complete."""
    tried = {f"/api/auth/{path}" for _, path in EVERY_CALL}
    public = {"register", "token", "token/refresh", "token/verify", "logout"}
    for pattern in accounts_urls.urlpatterns:
        if pattern.name not in {name.replace("/", "-") for name in public}:
            assert any(pattern.resolve(path[1:]) for path in tried), pattern.name


class TestAClockThatWasAhead:
    """The clock was two hours ahead and has been corrected, so times stored meanwhile are in the future."""

    @pytest.fixture
    def pair(self, user: User, time_machine: time_machine.TimeMachineFixture) -> dict[str, Any]:
        time_machine.move_to(NOON + 7200 * SECOND, tick=False)
        return log_in(user)

    def test_leaves_tokens_that_are_not_valid_yet(
        self, client: Client, pair: dict[str, Any], time_machine: time_machine.TimeMachineFixture
    ) -> None:
        time_machine.move_to(NOON, tick=False)
        body = {"refresh": pair["refresh"]}
        refused = [
            client.post("/api/auth/token/refresh", body, content_type="application/json"),
            client.get("/api/auth/me", headers={"Authorization": f"Bearer {pair['access']}"}),
        ]
        details = [(response.status_code, response.json()["detail"]) for response in refused]
        assert details == [(401, "The token is not valid yet.")] * 2
        # They become valid when their time has come: nothing has ended them.
        time_machine.move_to(NOON + 7200 * SECOND, tick=False)
        assert client.post("/api/auth/token/refresh", body, content_type="application/json").status_code == 200

    def test_makes_no_retry_of_a_rotation_that_lies_ahead(
        self, user: User, announced: list[str], time_machine: time_machine.TimeMachineFixture
    ) -> None:
        """Otherwise the previous token would be valid for as long as the clock was ahead."""
        time_machine.move_to(NOON, tick=False)
        first = log_in(user)
        time_machine.move_to(NOON + 7200 * SECOND, tick=False)
        rotate(first["refresh"])
        time_machine.move_to(NOON + 60 * SECOND, tick=False)
        with pytest.raises(InvalidToken):
            rotate(first["refresh"])
        assert not Session.objects.exists()

    def test_makes_no_difference_to_what_ends_then(
        self, user: User, announced: list[str], time_machine: time_machine.TimeMachineFixture
    ) -> None:
        time_machine.move_to(NOON, tick=False)
        pair = log_in(user)
        # By this clock the access token has expired, and there is nothing to announce.
        time_machine.move_to(NOON + 7200 * SECOND, tick=False)
        sessions.end_sessions(user_id=user.id, reason="test")
        assert announced == []
        time_machine.move_to(NOON + 60 * SECOND, tick=False)
        announce_missing(connect())
        assert announced == [sid(pair)]


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    def test_nothing_is_announced_before_it_is_true(self, user: User, announced: list[str]) -> None:
        pair = log_in(user)
        with transaction.atomic():
            sessions.end_sessions(user_id=user.id, reason="test")
            assert announced == []
        assert announced == [sid(pair)]
        user.delete()

    def test_nothing_is_announced_that_is_taken_back(self, user: User, announced: list[str]) -> None:
        pair = log_in(user)
        with transaction.atomic():
            sessions.end_sessions(user_id=user.id, reason="test")
            transaction.set_rollback(True)
        assert announced == []
        assert rotate(pair["refresh"])
        user.delete()

    def test_the_end_of_a_user_locks_the_user_before_the_sessions(self, user: User) -> None:
        """A login and a password change lock in the same order; otherwise two of them could deadlock."""
        log_in(user)
        with statements() as sent:
            user.delete()
        writes = [sql for sql, _ in sent if sql.startswith(("UPDATE", "DELETE"))]
        assert "accounts_user" in writes[0]
        assert any("accounts_session" in sql for sql in writes[1:])

    def test_a_new_password_and_the_end_of_the_others_are_one(
        self, user: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(**kwargs: Any) -> None:
            raise RuntimeError

        change = partial(services.change_password, user=user, current=PASSWORD, new="another horse battery")
        with monkeypatch.context() as patch:
            patch.setattr("accounts.sessions.receivers.end_sessions", fail)
            with pytest.raises(RuntimeError):
                change(session_id=uuid.uuid4(), client="192.0.2.1")
        assert User.objects.get().check_password(PASSWORD)
        user.delete()


class TestAChangeWhileAPasswordIsChecked:
    """Checking takes a tenth of a second, during which the account may change."""

    @pytest.fixture
    def meanwhile(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        def arrange(**changes: Any) -> None:
            real = User.check_password

            def check(user: User, raw: str) -> bool:
                result = real(user, raw)
                User.objects.filter(id=user.id).update(**changes)
                return result

            monkeypatch.setattr(User, "check_password", check)

        return arrange

    @pytest.mark.parametrize(
        "changes", [{"password": make_password("the owner's new one")}, {"is_active": False}, {"is_staff": True}]
    )
    def test_refuses_the_login(self, client: Client, user: User, meanwhile: Callable[..., None], changes: Any) -> None:
        meanwhile(**changes)
        body = {"username": "ada", "password": PASSWORD}
        assert client.post("/api/auth/token", body, content_type="application/json").status_code == 401
        assert not Session.objects.exists()

    def test_keeps_the_password_that_came_first(self, user: User, meanwhile: Callable[..., None]) -> None:
        first = make_password("the owner's new one")
        meanwhile(password=first)
        with pytest.raises(services.InvalidCredentials):
            services.change_password(
                user=user, current=PASSWORD, new="the thief's new one", session_id=uuid.uuid4(), client="192.0.2.1"
            )
        assert User.objects.get().password == first


class TestMany:
    def test_one_session_too_many_ends_the_one_used_longest_ago(
        self, user: User, announced: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sessions, "MOST_SESSIONS", 3)
        first, *others = (log_in(user) for _ in range(4))
        assert announced == [sid(first)]
        assert {str(session.id) for session in Session.objects.all()} == {sid(other) for other in others}

    def test_only_those_are_announced_of_which_an_access_token_can_be_left(
        self, user: User, announced: list[str], time_machine: time_machine.TimeMachineFixture
    ) -> None:
        time_machine.move_to(NOON, tick=False)
        log_in(user)
        time_machine.move_to(NOON + 306 * SECOND, tick=False)
        fresh = log_in(user)
        assert sessions.end_sessions(user_id=user.id, reason="test") == 2
        assert announced == [sid(fresh)]


def test_sessions_are_locked_before_they_are_read(user: User, announced: list[str]) -> None:
    """Otherwise, on SQL Server, one could be refreshed in between, and its new access token would outlive it."""
    log_in(user)
    with statements() as sent:
        sessions.end_sessions(user_id=user.id, reason="test")
    verbs = [sql.split()[0] for sql, _ in sent if "accounts_session" in sql]
    assert verbs == ["UPDATE", "SELECT", "DELETE"]


def test_the_refresh_token_of_an_inactive_user_is_refused(user: User) -> None:
    pair = log_in(user)
    User.objects.filter(id=user.id).update(is_active=False)  # update() ends no session.
    with pytest.raises(InvalidToken):
        rotate(pair["refresh"])


@pytest.mark.parametrize("name", ["access", "refresh"])
def test_verify_refuses_tokens_of_an_ended_session(client: Client, user: User, name: str) -> None:
    pair = log_in(user)
    body = {"token": pair[name]}
    assert client.post("/api/auth/token/verify", body, content_type="application/json").status_code == 200
    sessions.end_sessions(user_id=user.id, reason="test")
    assert client.post("/api/auth/token/verify", body, content_type="application/json").status_code == 401


class TestList:
    def test_shows_the_callers_sessions_and_which_is_this_one(self, client: Client, user: User) -> None:
        log_in(User.objects.create_user("eve", PASSWORD))
        old, new = log_in(user, client="192.0.2.7", user_agent="curl/8"), log_in(user)
        response = client.get("/api/auth/sessions", headers={"Authorization": f"Bearer {old['access']}"})
        assert response.status_code == 200
        assert [(entry["id"], entry["current"]) for entry in response.json()] == [(sid(new), False), (sid(old), True)]
        assert list(response.json()[1]) == [
            "id", "current", "created_at", "last_used_at", "expires_at", "user_agent", "address",
        ]  # fmt: skip
        assert (response.json()[1]["user_agent"], response.json()[1]["address"]) == ("curl/8", "192.0.2.7")

    def test_leaves_out_and_a_login_removes_what_has_expired(
        self, client: Client, user: User, time_machine: time_machine.TimeMachineFixture
    ) -> None:
        time_machine.move_to(NOON, tick=False)
        log_in(user)
        time_machine.move_to(NOON + datetime.timedelta(days=7), tick=False)
        fresh = begin_session_of(user)
        [shown] = client.get("/api/auth/sessions", headers=bearer(user, session=fresh)).json()
        assert shown["id"] == str(fresh.id)
        log_in(user)
        assert Session.objects.count() == 2

    def test_takes_the_address_that_the_gateway_saw(self, client: Client, user: User) -> None:
        body = {"username": "ada", "password": PASSWORD}
        client.post(
            "/api/auth/token",
            body,
            content_type="application/json",
            headers={"X-Forwarded-For": "198.51.100.4", "User-Agent": "x" * 5000 + "\x1b"},
        )
        session = Session.objects.get()
        assert (session.address, session.user_agent) == ("198.51.100.4", "x" * 200)

    @pytest.mark.parametrize("agent", ["", "a\x1bb", "é", "😀" * 300])
    def test_keeps_as_much_of_any_user_agent_as_fits(self, user: User, agent: str) -> None:
        log_in(user, user_agent=agent)
        assert len(Session.objects.get().user_agent.encode("utf-16-le")) <= 400


def test_changepassword_ends_the_users_sessions(
    user: User, announced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = log_in(user)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "another horse battery")
    call_command("changepassword", "ada", verbosity=0)
    assert announced == [sid(pair)]
