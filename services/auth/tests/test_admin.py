"""The admin: login, permitted actions, and the sessions that it ends."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import resolve
from django.urls.exceptions import Resolver404
from django.utils import timezone
from time_machine import TimeMachineFixture

from accounts.admin import UserAdmin
from accounts.credentials import backends
from accounts.sessions import services as sessions
from accounts.sessions.models import Session
from accounts.users.models import User
from auth_service import admin_settings

PASSWORD = "correct horse battery"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _admin_process(settings: Any) -> None:
    """Use the admin's routes and middleware; the suite otherwise runs with those of the API."""
    for name in ("ROOT_URLCONF", "MIDDLEWARE"):
        setattr(settings, name, getattr(admin_settings, name))


@pytest.fixture
def staff() -> User:
    return User.objects.create_user("grace", PASSWORD, is_staff=True)


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ada", PASSWORD)


@pytest.fixture
def admin(staff: User) -> Client:
    client = Client()
    assert log_in(client, "grace").status_code == 302
    return client


def log_in(client: Client, name: str, password: str = PASSWORD, **headers: str) -> Any:
    return client.post("/admin/login/?next=/admin/", {"username": name, "password": password}, headers=headers)


def errors(response: Any) -> str:
    return " ".join(re.findall(r'<p class="errornote">\s*(.*?)\s*</p>', response.text, flags=re.DOTALL))


def begin(user: User) -> str:
    assert sessions.begin_session(user=user, user_agent="curl/8", client="192.0.2.1")
    return str(Session.objects.get(user=user).id)


class TestTheDoor:
    def test_is_open_to_staff(self, admin: Client) -> None:
        page = admin.get("/admin/")
        assert page.status_code == 200
        assert "Users" in page.text
        assert "Groups" not in page.text

    @pytest.mark.parametrize(
        ("changes", "password"),
        [({}, "wrong horse battery"), ({"is_staff": False}, PASSWORD), ({"is_active": False}, PASSWORD)],
        ids=["wrong password", "no staff", "inactive"],
    )
    def test_is_shut_in_the_same_words_to_everybody_else(
        self, staff: User, changes: dict[str, bool], password: str
    ) -> None:
        User.objects.filter(pk=staff.pk).update(**changes)
        client = Client()
        response = log_in(client, "grace", password)
        unknown = log_in(Client(), "nobody", password)
        assert (response.status_code, errors(response)) == (200, errors(unknown))
        assert "correct username and password" in errors(response)
        assert client.get("/admin/accounts/user/").status_code == 302

    def test_counts_guesses_together_with_the_api_and_believes_no_forwarded_address(
        self, staff: User, settings: Any
    ) -> None:
        for n in range(5):
            assert "correct username" in errors(log_in(Client(), "grace", "wrong", X_Forwarded_For=f"192.0.2.{n}"))
        assert "Try again in 1 seconds" in errors(log_in(Client(), "grace", X_Forwarded_For="192.0.2.9"))
        settings.ROOT_URLCONF = "auth_service.urls"
        body = {"username": "grace", "password": PASSWORD}
        assert Client().post("/api/auth/token", body, content_type="application/json").status_code == 429

    def test_ignores_names_longer_than_any_can_be(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Normalising a name of one megabyte takes seconds."""
        monkeypatch.setattr(backends, "check_credentials", None)
        assert "correct username" in errors(log_in(Client(), "\ufdfa" * 601))
        assert log_in(Client(), "x" * 70_000).status_code == 400

    @pytest.mark.parametrize("changes", [{"is_staff": False}, {"is_active": False}, {"password": "another"}])
    def test_shuts_behind_a_user_who_loses_the_right(self, admin: Client, staff: User, changes: dict[str, Any]) -> None:
        User.objects.filter(pk=staff.pk).update(**changes)
        assert admin.get("/admin/").status_code == 302

    @pytest.mark.parametrize(("hours", "status"), [(0, 200), (2, 302), (24 * 365, 302)])
    def test_a_session_from_a_clock_that_was_ahead_is_not_valid(
        self, staff: User, time_machine: TimeMachineFixture, hours: int, status: int
    ) -> None:
        """Otherwise it would last longer than 8 hours."""
        now = timezone.now()
        time_machine.move_to(now + timedelta(hours=hours), tick=False)
        admin = Client()
        log_in(admin, "grace")
        time_machine.move_to(now, tick=False)
        assert admin.get("/admin/").status_code == status

    def test_a_cookie_from_before_a_logout_opens_nothing(self, admin: Client) -> None:
        before = dict(admin.cookies)
        assert admin.post("/admin/logout/").status_code == 200
        admin.cookies.update(before)
        assert admin.get("/admin/").status_code == 302

    def test_cookies_are_for_this_site_and_no_script(self, admin: Client) -> None:
        cookie = admin.cookies["auth_admin_session"]
        assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Strict", "")

    def test_a_form_from_elsewhere_is_refused(self, staff: User) -> None:
        client = Client(enforce_csrf_checks=True)
        assert log_in(client, "grace").status_code == 403

    def test_a_name_that_only_resolves_to_here_is_refused(self, settings: Any) -> None:
        assert admin_settings.ALLOWED_HOSTS == ["localhost", "127.0.0.1", "[::1]"]
        settings.ALLOWED_HOSTS = admin_settings.ALLOWED_HOSTS
        assert Client().get("/admin/login/", headers={"Host": "rebound.example:8001"}).status_code == 400
        assert Client().get("/admin/login/", headers={"Host": "localhost:8001"}).status_code == 200

    def test_cannot_be_framed(self, admin: Client) -> None:
        assert admin.get("/admin/")["X-Frame-Options"] == "DENY"

    @pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/api/auth/admin/"])
    def test_is_none_of_the_apis(self, path: str) -> None:
        with pytest.raises(Resolver404):
            resolve(path, urlconf="auth_service.urls")


class TestUsers:
    def add(self, admin: Client, **fields: str) -> Any:
        form = {"username": "ada", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD, **fields}
        return admin.post("/admin/accounts/user/add/", form)

    def test_are_added_by_the_rules_of_register(self, admin: Client) -> None:
        assert self.add(admin, username=" ＡＤＡ ").status_code == 302
        assert User.objects.get(username="ada").check_password(PASSWORD)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"username": "GRACE"}, "already exists"),
            ({"username": "a b"}, "letters, digits"),
            ({"username": "𝒳" * 150 + "😀"}, "at most 150"),
            ({"password1": "\u2800" * 8, "password2": "\u2800" * 8}, "visible characters"),
            ({"password1": "short", "password2": "short"}, "too short"),
            ({"password1": "x" * 129, "password2": "x" * 129}, "more than 128"),
            ({"password1": "ada-and-more", "password2": "ada-and-more"}, "contain the username"),
        ],
    )
    def test_are_not_added_against_them(self, admin: Client, fields: dict[str, str], message: str) -> None:
        response = self.add(admin, **fields)
        assert response.status_code == 200
        assert message in response.text
        assert User.objects.count() == 1

    @pytest.mark.parametrize("lost", ["is_active", "is_staff"])
    def test_lose_their_sessions_with_a_right(self, admin: Client, user: User, lost: str) -> None:
        User.objects.filter(pk=user.pk).update(is_staff=True)
        user.refresh_from_db()
        begin(user)
        rights = {name: "on" for name in ("is_active", "is_staff") if name != lost}
        response = admin.post(f"/admin/accounts/user/{user.pk}/change/", {"email": "", **rights})
        assert response.status_code == 302
        assert not getattr(User.objects.get(pk=user.pk), lost)
        assert not Session.objects.filter(user=user).exists()
        assert LogEntry.objects.get().object_id == str(user.pk)

    def test_keep_what_was_changed_elsewhere_since_the_form_was_read(
        self, admin: Client, user: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save = UserAdmin.save_model

        def save_late(*args: Any, **kwargs: Any) -> None:
            other = User.objects.get(pk=user.pk)
            other.set_password("another horse battery")
            other.save()
            save(*args, **kwargs)

        monkeypatch.setattr(UserAdmin, "save_model", save_late)
        form = {"email": "ada@example.com", "is_active": "on"}
        assert admin.post(f"/admin/accounts/user/{user.pk}/change/", form).status_code == 302
        stored = User.objects.get(pk=user.pk)
        assert stored.email == "ada@example.com"
        assert stored.check_password("another horse battery")

    def test_cannot_take_their_own_rights(self, admin: Client, staff: User) -> None:
        admin.post(f"/admin/accounts/user/{staff.pk}/change/", {"email": "grace@example.com"})
        assert admin.get(f"/admin/accounts/user/{staff.pk}/delete/").status_code == 403
        form = {"action": "delete_selected", "_selected_action": [str(staff.pk)], "post": "yes"}
        admin.post("/admin/accounts/user/", form)
        staff.refresh_from_db()
        assert (staff.email, staff.is_active, staff.is_staff) == ("grace@example.com", True, True)

    def test_keep_their_names(self, admin: Client, user: User) -> None:
        admin.post(f"/admin/accounts/user/{user.pk}/change/", {"username": "eve", "email": "", "is_active": "on"})
        assert User.objects.get(pk=user.pk).username == "ada"

    def test_lose_their_sessions_with_their_password(self, admin: Client, user: User) -> None:
        begin(user)
        form = {"usable_password": "true", "password1": "another horse battery", "password2": "another horse battery"}
        assert admin.post(f"/admin/accounts/user/{user.pk}/password/", form).status_code == 302
        assert User.objects.get(pk=user.pk).check_password("another horse battery")
        assert not Session.objects.exists()

    def test_can_be_logged_out_everywhere(self, admin: Client, user: User, staff: User) -> None:
        begin(user)
        begin(staff)
        form = {"action": "log_out_everywhere", "_selected_action": [str(user.pk)]}
        assert admin.post("/admin/accounts/user/", form).status_code == 302
        assert [session.user for session in Session.objects.all()] == [staff]
        assert LogEntry.objects.get().change_message == "Logged out everywhere."


class TestWhatIsEndedHere:
    """Sessions that the admin ends are announced to every service, like any others."""

    @pytest.mark.parametrize("how", ["user", "users", "session", "sessions"])
    def test_is_announced(
        self,
        admin: Client,
        user: User,
        how: str,
        announced: list[str],
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        session = begin(user)
        path, key = {
            "user": (f"/admin/accounts/user/{user.pk}/delete/", None),
            "users": ("/admin/accounts/user/", user.pk),
            "session": (f"/admin/accounts/session/{session}/delete/", None),
            "sessions": ("/admin/accounts/session/", session),
        }[how]
        form = {"post": "yes"} | ({"action": "delete_selected", "_selected_action": [str(key)]} if key else {})
        with django_capture_on_commit_callbacks(execute=True):
            assert admin.post(path, form).status_code == 302
        assert announced == [session]
        assert not Session.objects.exists()
        assert User.objects.filter(pk=user.pk).exists() == how.startswith("session")


@pytest.mark.parametrize("path", ["user/{user}/change/", "user/{user}/delete/"])
def test_what_staff_do_is_logged(
    admin: Client, staff: User, user: User, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="accounts.security")
    form = {"email": "", "is_active": "on", "is_staff": "on", "post": "yes"}
    assert admin.post(f"/admin/accounts/{path.format(user=user.pk)}", form).status_code == 302
    [line] = [record for record in caplog.records if record.message == "admin action"]
    expected = (staff.pk, "change" if "change" in path else "deletion", f"user {user.pk}")
    assert (line.user_id, line.action, line.target) == expected  # type: ignore[attr-defined]


def test_a_login_is_logged(staff: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="accounts.security")
    log_in(Client(), "grace", "wrong horse battery")
    log_in(Client(), "grace")
    assert [
        (line.message, line.user_id, line.client) for line in caplog.records if line.name == "accounts.security"
    ] == [  # type: ignore[attr-defined]
        ("login failed", staff.pk, "127.0.0.1"),
        ("admin login succeeded", staff.pk, "127.0.0.1"),
    ]


class TestSessions:
    def test_are_shown(self, admin: Client, user: User) -> None:
        begin(user)
        page = admin.get("/admin/accounts/session/?q=ada").text
        assert "curl/8" in page
        assert "192.0.2.1" in page

    def test_are_neither_made_nor_changed(self, admin: Client, user: User) -> None:
        session = begin(user)
        assert admin.get("/admin/accounts/session/add/").status_code == 403
        assert admin.post(f"/admin/accounts/session/{session}/change/", {"address": "x"}).status_code == 403


def test_every_page_works(admin: Client, user: User, staff: User) -> None:
    session = begin(user)
    admin.post(f"/admin/accounts/user/{user.pk}/change/", {"email": "", "is_active": "on"})
    for path in (
        "",
        "password_change/",
        "accounts/",
        "accounts/user/",
        "accounts/user/add/",
        f"accounts/user/{user.pk}/change/",
        f"accounts/user/{user.pk}/history/",
        f"accounts/user/{user.pk}/password/",
        f"accounts/user/{user.pk}/delete/",
        "accounts/session/",
        f"accounts/session/{session}/change/",
        f"accounts/session/{session}/delete/",
    ):
        assert admin.get(f"/admin/{path}").status_code == 200, path
    assert admin.get("/", follow=True).status_code == 200
    stylesheet = admin.get("/static/admin/css/base.css")
    assert stylesheet.status_code == 200
    stylesheet.close()
