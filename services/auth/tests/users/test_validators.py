"""The rules for passwords, which are the same in registrations and password changes."""

import json
from typing import Any

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.users.models import User
from tests.clients import bearer

PASSWORD = "correct horse battery"


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "ada12345"),
        ("ada", "Ada12345"),
        ("ada", "correct-ADA-battery"),
        ("ada", "ａｄａ12345"),
        ("adalovelace1815", "lovelace"),
        ("straße", "STRASSE99x"),
        ("ᴀda", "correct ᴀDA"),
    ],
)
def test_the_users_own_name_is_refused_in_any_spelling(name: str, password: str) -> None:
    user = User(username=User.normalize_username(name))
    with pytest.raises(ValidationError) as caught:
        validate_password(password, user)
    assert "own_name" in [error.code for error in caught.value.error_list]


@pytest.mark.parametrize(("name", "password"), [("al", "alphabet soup 9"), ("ada", PASSWORD), ("ada", "a-d-a-12345x")])
def test_what_is_not_the_name_is_taken(name: str, password: str) -> None:
    validate_password(password, User(username=name))


def test_a_password_without_a_user_is_judged_by_the_other_rules() -> None:
    validate_password(PASSWORD)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("password", "rule"),
    [
        ("short12", "This password is too short. It must contain at least 8 characters."),
        ("x7" * 64 + "y", "Ensure this field has no more than 128 characters."),
        ("90210777444", "This password is entirely numeric."),
        ("password123", "This password is too common."),
        ("loveland12", "The password is too similar to the username."),
        ("my-lovelan", "The password must not contain the username or be part of it."),
        ("ada@exampl", "The password is too similar to the email."),
        ("", "This field may not be blank."),
    ],
)
def test_register_and_a_new_password_name_the_rule_alike(client: Client, password: str, rule: str) -> None:
    def post(path: str, body: dict[str, Any], **headers: str) -> Any:
        return client.post(f"/api/auth/{path}", json.dumps(body), content_type="application/json", headers=headers)

    registered = post("register", {"username": "lovelan", "email": "ada@example.com", "password": password})
    user = User.objects.create_user("lovelan", PASSWORD, email="ada@example.com")
    changed = post("password", {"current": PASSWORD, "new": password}, **bearer(user))
    assert (registered.status_code, changed.status_code) == (400, 400)
    assert rule in registered.json()["errors"]["password"]
    assert registered.json()["errors"]["password"] == changed.json()["errors"]["new"]


@pytest.mark.django_db
@pytest.mark.parametrize("password", ["kx7-qwzp", "é😀" * 64], ids=["8", "128"])
def test_8_and_128_characters_are_taken(client: Client, password: str) -> None:
    body = {"username": "ada", "password": password}
    assert client.post("/api/auth/register", body, content_type="application/json").status_code == 201
    assert client.post("/api/auth/token", body, content_type="application/json").status_code == 200
