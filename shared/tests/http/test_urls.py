import pytest
from django.test import RequestFactory, override_settings

from servicekit.http.urls import absolute_url


def url(**headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return absolute_url(RequestFactory().get("/", headers=named), "/a")


@pytest.mark.parametrize(
    ("host", "scheme", "expected"),
    [
        ("localhost:8000", "http", "http://localhost:8000/a"),
        ("tasks.example.org", "https", "https://tasks.example.org/a"),
        ("[::1]:8000", "http", "http://[::1]:8000/a"),
    ],
)
def test_it_is_what_the_client_used(host, scheme, expected):
    assert url(X_Forwarded_Host=host, X_Forwarded_Proto=scheme) == expected


@pytest.mark.parametrize("host", ["", "evil>; rel=x", "a/b", "a@b", "é", "a b"])
def test_host_that_is_none_leaves_a_path(host):
    assert url(X_Forwarded_Host=host, X_Forwarded_Proto="http") == "/a"


@pytest.mark.parametrize("scheme", ["", "javascript", "http://"])
def test_scheme_that_is_none_leaves_a_path(scheme):
    assert url(X_Forwarded_Host="localhost", X_Forwarded_Proto=scheme) == "/a"


def test_nothing_is_known_without_the_gateway():
    assert url(Host="localhost") == "/a"


@override_settings(PUBLIC_URL="https://tasks.example.org")
def test_setting_wins():
    assert url(X_Forwarded_Host="internal:8000", X_Forwarded_Proto="http") == "https://tasks.example.org/a"
