"""The IP address of the client, as the gateway saw it."""

from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Any


def client_address(meta: Mapping[str, Any]) -> str:
    """Return the address from a request's META, or an empty string; the gateway overwrites the client's header."""
    for name in ("HTTP_X_FORWARDED_FOR", "REMOTE_ADDR"):
        with suppress(ValueError):
            return str(ip_address(meta.get(name, "")))
    return ""
