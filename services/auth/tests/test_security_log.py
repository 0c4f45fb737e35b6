"""The security events, with the account and the client's address, and without any typed text."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from accounts import security_log
from accounts.sessions.models import Session
from accounts.users.models import User
from servicekit.testing import make_token
from tests.clients import bearer, begin_session_of

PASSWORD = "correct horse battery"
ADDRESS = "203.0.113.9"
Events = Callable[[], list[tuple[str, dict[str, Any]]]]

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ada", PASSWORD)


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Events:
    """A function that returns the messages and fields of the events so far."""
    caplog.set_level(logging.INFO)
    usual = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "service", "request_id"}

    def found() -> list[tuple[str, dict[str, Any]]]:
        records = [record for record in caplog.records if record.name == "accounts.security"]
        return [
            (record.message, {name: value for name, value in vars(record).items() if name not in usual})
            for record in records
        ]

    return found


@pytest.fixture(autouse=True)
def commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on_commit callbacks immediately, since these tests are rolled back."""
    monkeypatch.setattr("django.db.transaction.on_commit", lambda callback: callback())


def call(client: Client, path: str, body: Any = None, *, method: str = "POST", **headers: str) -> Any:
    headers = {"X-Forwarded-For": ADDRESS, **headers}
    return client.generic(method, f"/api/auth/{path}", json.dumps(body or {}), "application/json", headers=headers)


def test_a_registration(client: Client, events: Events) -> None:
    call(client, "register", {"username": "ada", "password": PASSWORD})
    assert events() == [("user registered", {"user_id": User.objects.get().id, "client": ADDRESS})]


def test_a_login(client: Client, user: User, events: Events) -> None:
    call(client, "token", {"username": "ada", "password": PASSWORD})
    session = str(Session.objects.get().id)
    assert events() == [("login succeeded", {"user_id": user.id, "client": ADDRESS, "session_id": session})]


@pytest.mark.parametrize("active", [True, False])
def test_a_failed_login(client: Client, user: User, events: Events, active: bool) -> None:
    User.objects.filter(id=user.id).update(is_active=active)
    call(client, "token", {"username": "ADA", "password": "wrong horse" if active else PASSWORD})
    assert events() == [("login failed", {"user_id": user.id, "client": ADDRESS})]


def test_a_login_by_a_name_without_an_account(
    client: Client, events: Events, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """People type their password into the username field."""
    for _ in range(6):
        call(client, "token", {"username": "Tr0ub4dor", "password": "hunter2hunter2"})
    assert events() == [
        *[("login failed", {"user_id": None, "client": ADDRESS})] * 5,
        ("login refused", {"user_id": None, "client": ADDRESS, "wait": 1}),
    ]
    assert not any(typed in text.lower() for text in capfd.readouterr() for typed in ("tr0ub4dor", "hunter2"))


def test_a_lockout(client: Client, user: User, events: Events) -> None:
    for _ in range(6):
        call(client, "token", {"username": "ada", "password": "wrong horse"})
    assert events()[5:] == [("login refused", {"user_id": user.id, "client": ADDRESS, "wait": 1})]


def test_a_changed_password(client: Client, user: User, events: Events) -> None:
    other, this = begin_session_of(user), begin_session_of(user)
    body = {"current": PASSWORD, "new": "another horse battery"}
    call(client, "password", body, **bearer(user, session=this))
    fields = {"user_id": user.id, "client": ADDRESS}
    assert events() == [
        ("credentials changed", {**fields, "changed": ["password"]}),
        ("sessions ended", {**fields, "reason": "credentials changed", "session_ids": [str(other.id)]}),
    ]


def test_a_password_that_is_not_changed(client: Client, user: User, events: Events) -> None:
    headers = bearer(user)
    for _ in range(6):
        call(client, "password", {"current": "wrong horse", "new": "another horse battery"}, **headers)
    fields = {"user_id": user.id, "client": ADDRESS}
    assert events() == [
        *[("password change failed", fields)] * 5,
        ("password change refused", {**fields, "wait": 1}),
    ]


@pytest.mark.parametrize(("how", "reason"), [("logout", "logout"), ("one", "revoked"), ("all", "logout everywhere")])
def test_an_end_of_a_session_by_its_user(client: Client, user: User, events: Events, how: str, reason: str) -> None:
    session = begin_session_of(user)
    headers = bearer(user, session=session)
    if how == "logout":
        call(client, "logout", {"refresh": make_token(user.id, token_type="refresh", sid=str(session.id))})
    else:
        call(client, "sessions" if how == "all" else f"sessions/{session.id}", method="DELETE", **headers)
    fields = {"user_id": user.id, "client": ADDRESS, "reason": reason, "session_ids": [str(session.id)]}
    assert events() == [("sessions ended", fields)]


def test_a_replay(client: Client, user: User, events: Events) -> None:
    session = begin_session_of(user)
    stolen = make_token(user.id, token_type="refresh", sid=str(session.id), jti="1" * 32)
    assert call(client, "token/refresh", {"refresh": stolen}).status_code == 401
    fields = {"user_id": user.id, "client": ADDRESS}
    assert events() == [
        ("sessions ended", {**fields, "reason": "replay", "session_ids": [str(session.id)]}),
        ("refresh token replayed", {**fields, "session_id": str(session.id)}),
    ]


def test_a_change_of_rights_by_an_operator(user: User, events: Events) -> None:
    session = begin_session_of(user)
    user.is_staff = True
    user.save()
    fields = {"user_id": user.id, "client": None}
    assert events() == [
        ("credentials changed", {**fields, "changed": ["is_staff"]}),
        ("sessions ended", {**fields, "reason": "credentials changed", "session_ids": [str(session.id)]}),
    ]


def test_an_end_of_a_user(user: User, events: Events) -> None:
    session, user_id = begin_session_of(user), user.id
    user.delete()
    fields = {"user_id": user_id, "client": None, "reason": "user deleted", "session_ids": [str(session.id)]}
    assert events() == [("sessions ended", fields)]


def test_a_new_user_of_staff(monkeypatch: pytest.MonkeyPatch, events: Events) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", interactive=False, username="root", verbosity=0)
    assert events() == [("staff user created", {"user_id": User.objects.get().id, "client": None})]


@pytest.mark.parametrize("path", ["token/refresh", "token/verify"])
def test_a_token_signed_by_an_unknown_key(
    client: Client, user: User, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    token = make_token(user.id, token_type="refresh", header={"kid": "stranger"})
    call(client, path, {path.partition("/")[2].replace("verify", "token"): token})
    [record] = [record for record in caplog.records if record.name == "servicekit.tokens.authentication"]
    assert (record.message, record.client) == ("token with unknown key refused", ADDRESS)  # type: ignore[attr-defined]


def test_every_event_is_tried_here_or_in_the_admins_tests() -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for path in (Path(__file__), Path(__file__).with_name("test_admin.py"))
    )
    for event in vars(security_log).values():
        if isinstance(event, security_log.Event):
            assert f'"{event.message}"' in source, event
