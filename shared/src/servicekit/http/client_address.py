"""The address of the client, as the gateway saw it."""

from contextlib import suppress
from ipaddress import ip_address

from rest_framework.request import Request


def client_address(request: Request) -> str:
    """Return the IP address that the gateway saw, or an empty string; the gateway overwrites what a client sends."""
    for name in ("HTTP_X_FORWARDED_FOR", "REMOTE_ADDR"):
        with suppress(ValueError):
            return str(ip_address(request.META.get(name, "")))
    return ""
