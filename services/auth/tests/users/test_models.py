"""The table of users, and the normalisation of their names."""

import sys

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from hypothesis import given
from hypothesis import strategies as st

from accounts.users.models import User


@given(st.text())
def test_normalising_twice_changes_nothing_more(name: str) -> None:
    once = User.normalize_username(name)
    assert User.normalize_username(once) == once


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ada", "ada"), ("STRASSE", "straße"), ("ﬁn", "FIN"), ("ａ", "A"), ("e\u0301", "É"), ("ada ", "ada"), ("Σ", "ς")],
)
def test_spellings_of_one_name_are_equal(one: str, other: str) -> None:
    assert User.normalize_username(one) == User.normalize_username(other)


@pytest.mark.django_db
class TestTheDatabaseItself:
    def test_refuses_a_second_user_of_a_name(self) -> None:
        User.objects.create_user("ada", "correct horse battery")
        with pytest.raises(IntegrityError):
            User.objects.create_user(" ADA", "correct horse battery")

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("か", "カ"),  # kana
            ("æsir", "aesir"),
            ("þor", "thor"),
            ("rené", "rene"),
            ("\U00020000", "\U00020001"),  # ideographs outside the BMP, to which old collations give no weight
            ("a\U00020000", "a"),
            ("\u1e9e", "\u0282"),
            ("ıq", "iq"),
        ],
    )
    def test_tells_names_apart_that_a_collation_may_equate(self, one: str, other: str) -> None:
        for name in (one, other):
            User.objects.create_user(name, "correct horse battery")
        for name in (one, other):
            assert User.objects.get_by_natural_key(name).username == User.normalize_username(name)

    def test_refuses_an_empty_name(self) -> None:
        with pytest.raises(IntegrityError):
            User.objects.create_user(" ", "correct horse battery")

    def test_has_the_tables_that_are_used_and_no_groups_or_permissions(self) -> None:
        assert sorted(connection.introspection.table_names()) == [
            "accounts_attemptcount",
            "accounts_endedsession",
            "accounts_session",
            "accounts_user",
            # Tables that the admin needs.
            "django_admin_log",
            "django_content_type",
            "django_migrations",
            "django_session",
        ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "password", "problem"),
    [
        ("root", "x", "too short"),
        ("root", "x7" * 64 + "y", "must not have more than 128"),
        ("root", "password123", "too common"),
        ("root", "root12345", "must not contain the username"),
        ("root", "\u2800" * 9, "visible characters"),
        ("r o o t", "correct horse battery", "May contain only letters"),
        ("r" * 151, "correct horse battery", "at most 150 characters"),
        ("\U00020000" * 100, "correct horse battery", "UTF-16"),
    ],
)
def test_createsuperuser_applies_the_rules_of_the_api(
    monkeypatch: pytest.MonkeyPatch, name: str, password: str, problem: str
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", password)
    with pytest.raises(CommandError, match=problem):
        call_command("createsuperuser", interactive=False, username=name, verbosity=0)
    assert not User.objects.exists()


@pytest.mark.django_db
def test_createsuperuser_does_not_bypass_the_rules_when_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda *prompt: "x")
    monkeypatch.setattr("builtins.input", lambda prompt="": "y")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with pytest.raises(CommandError, match="too short"):
        call_command("createsuperuser", username="root", verbosity=0, stdin=sys.stdin)
    assert not User.objects.exists()


@pytest.mark.django_db
def test_createsuperuser_makes_a_staff_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse battery")
    call_command("createsuperuser", interactive=False, username="Root", verbosity=0)
    user = User.objects.get()
    assert (user.username, user.is_staff, user.check_password("correct horse battery")) == ("root", True, True)
