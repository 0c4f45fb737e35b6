import pytest
from django.test import RequestFactory

from servicekit.process.client_address import client_address


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("198.51.100.4", "198.51.100.4"),
        ("2001:DB8::1", "2001:db8::1"),
        ("", "127.0.0.1"),
        ("198.51.100.4, 192.0.2.1", "127.0.0.1"),
        ("x" * 500, "127.0.0.1"),
    ],
)
def test_is_one_address(forwarded, address):
    assert client_address(RequestFactory().get("/", headers={"X-Forwarded-For": forwarded}).META) == address


def test_may_be_unknown():
    assert client_address(RequestFactory().get("/", REMOTE_ADDR="").META) == ""
