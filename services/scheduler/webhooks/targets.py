"""The rules for where webhooks may be sent, by the form of a URL and by the IP address, without side effects.

The form excludes URLs that two parsers could read differently. The addresses that a name resolves to are checked for
each connection (webhooks.http_client).
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from webhooks.models import URL_MAXIMUM

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

DEFAULT_PORTS = {"http": 80, "https": 443}
# Lower ports belong to system services, such as mail, that could misinterpret an HTTP request.
FIRST_UNPRIVILEGED_PORT = 1024

_PRINTABLE = re.compile(r"[!-~]+", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
# A last label that makes resolvers and browsers interpret the host as an IPv4 address, in any base.
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)

# Global according to IANA's registry, but not part of the internet, or the host of a virtual machine.
_REFUSED_V4 = (
    ipaddress.IPv4Network("192.0.0.0/24"),  # protocol assignments (RFC 6890)
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays (RFC 7526)
    ipaddress.IPv4Network(
        "168.63.129.16/32"
    ),  # Azure's host, https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
)
# The addresses assigned to the internet; NAT64, mapped, link-local, private and multicast addresses are outside.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_REFUSED_V6 = (
    ipaddress.IPv6Network("2001::/23"),  # protocol assignments, including Teredo (RFC 4380)
    ipaddress.IPv6Network("2002::/16"),  # 6to4, which contains an IPv4 address (RFC 3056)
    ipaddress.IPv6Network("2001:db8::/32"),  # documentation
    ipaddress.IPv6Network("3fff::/20"),  # documentation (RFC 9637)
)
# Allowed by WEBHOOK_ALLOW_PRIVATE_NETWORKS. Link-local addresses, which clouds use for metadata, are still refused.
_PRIVATE = (
    ipaddress.IPv4Network("127.0.0.0/8"),
    ipaddress.IPv4Network("10.0.0.0/8"),
    ipaddress.IPv4Network("172.16.0.0/12"),
    ipaddress.IPv4Network("192.168.0.0/16"),
    ipaddress.IPv6Network("::1/128"),
    ipaddress.IPv6Network("fc00::/7"),
)
_METADATA_V6 = ipaddress.IPv6Address("fd00:ec2::254")


class TargetRefused(Exception):
    """The URL cannot receive webhooks; the message is for the owner of the endpoint."""


def is_allowed(address: IPAddress, *, allow_private: bool) -> bool:
    """Return whether webhooks may be sent to this IP address."""
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return False
    if allow_private and address != _METADATA_V6 and any(_contains(network, address) for network in _PRIVATE):
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and not any(address in net for net in _REFUSED_V4)
    return address in _GLOBAL_V6 and not any(address in net for net in _REFUSED_V6)


def _contains(network: ipaddress.IPv4Network | ipaddress.IPv6Network, address: IPAddress) -> bool:
    return address.version == network.version and address in network


def check_url(url: str, *, allow_private: bool) -> None:
    """Raise TargetRefused unless the URL is well-formed and its host, if it is an IP address, is allowed."""
    if len(url) > URL_MAXIMUM:
        raise TargetRefused(f"Must not be longer than {URL_MAXIMUM} characters.")
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise TargetRefused("Must be printable ASCII without spaces; write other letters of a host as xn--….")
    parts = _split(url)
    if parts.scheme not in DEFAULT_PORTS or not url.lower().startswith(f"{parts.scheme}://"):
        raise TargetRefused("Must start with https:// or http://.")
    if "@" in parts.netloc:
        raise TargetRefused("Must not contain a username or password.")
    if parts.fragment or url.endswith("#"):
        raise TargetRefused("Must not contain a fragment.")
    _check_port(parts)
    host = parts.hostname or ""
    if "[" in parts.netloc and not isinstance(parse_address(host), ipaddress.IPv6Address):
        raise TargetRefused("Only an IPv6 address may be in brackets.")
    _check_host(host, allow_private=allow_private)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise TargetRefused("Must be a URL.") from None


def _check_port(parts: SplitResult) -> None:
    try:
        port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    except ValueError:
        port = 0
    if parts.netloc.endswith(":") or not (port in DEFAULT_PORTS.values() or port >= FIRST_UNPRIVILEGED_PORT):
        raise TargetRefused("The port must be 80, 443, or 1024 or higher.")


def _check_host(host: str, *, allow_private: bool) -> None:
    address = parse_address(host)
    if address is not None:
        if not is_allowed(address, allow_private=allow_private):
            raise TargetRefused("Webhooks cannot be sent to this IP address.")
        return
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetRefused("The host must be a name or an IP address.")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        raise TargetRefused("An IPv4 address must be written as four decimal numbers.")


def parse_address(host: str) -> IPAddress | None:
    """Return the host as an IP address if it is one in canonical form, else None."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
