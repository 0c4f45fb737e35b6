"""Validation of the settings that these commands read themselves; the services validate their own.

Each function takes a variable's text and returns its value, or raises CommandError with the variable's name.
"""

import re
import ssl
from ipaddress import ip_network
from pathlib import Path

from local.errors import CommandError

# As browsers send them (https://html.spec.whatwg.org/#ascii-serialisation-of-an-origin).
ORIGIN = r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?"
# Browsers omit a scheme's default port, so an origin with it would never match.
OWN_PORT = r"(http://(\[[^]]*\]|[^,:\[]+):80|https://(\[[^]]*\]|[^,:\[]+):443)(?![0-9])"


def port(name: str, text: str) -> int:
    """Return the port number."""
    text = text.strip()
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise CommandError(f"{name}: must be a port number from 1 to 65535, not {text!r}")
    return int(text)


def count(name: str, text: str, *, maximum: int = 999_999) -> str:
    """Return a whole number from 1 to the maximum, as text."""
    text = text.strip()
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text) or int(text) > maximum:
        raise CommandError(f"{name}: must be a whole number from 1 to {maximum}, not {text!r}")
    return text


def connections_per_address(text: str) -> str:
    """Return the limit, which is at most nginx's maximum."""
    return count("CONNECTIONS_PER_ADDRESS", text, maximum=65_535)


def cors_origins(text: str) -> str:
    """Return the list of origins, which may be empty."""
    text = text.strip()
    if not re.fullmatch(rf"({ORIGIN}(,{ORIGIN})*)?", text):
        raise CommandError(f"CORS_ORIGINS: must be origins such as https://app.example.org,https://…, not {text!r}")
    if match := re.search(OWN_PORT, text):
        raise CommandError(f"CORS_ORIGINS: must be without the port in {match[0]}, which browsers leave out")
    return text


def listen(address: str, port: int) -> str:
    """Return the address for nginx's ``listen``. It includes 127.0.0.1, where the launcher requests /readyz."""
    if address.strip() == "::":
        return f"[::]:{port} ipv6only=off"
    if address.strip() not in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 - the operator's choice; the default is loopback
        raise CommandError(f"GATEWAY_ADDRESS: must be 127.0.0.1, 0.0.0.0 or :: (IPv6 and IPv4), not {address!r}")
    return f"{address.strip()}:{port}"


def trusted_proxies(text: str) -> list[str]:
    """Return the list of addresses and networks, which may be empty."""
    try:
        return [str(ip_network(part.strip())) for part in text.split(",") if text.strip()]
    except ValueError:
        raise CommandError(
            f"TRUSTED_PROXIES: must be addresses or networks such as 192.0.2.7,2001:db8::/64, not {text!r}"
        ) from None


def check_certificate(certificate: str, key: str) -> None:
    """Raise CommandError unless the two files are a certificate and its key that nginx can use."""
    for name, path in (("TLS_CERTIFICATE_FILE", certificate), ("TLS_KEY_FILE", key)):
        if not Path(path).is_absolute() or '"' in path or "\\" in path:
            raise CommandError(f"{name}: must be the absolute path of a PEM file, not {path!r}")
    try:
        # An empty password, since OpenSSL would otherwise prompt for one at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise CommandError(
            f"TLS_CERTIFICATE_FILE, TLS_KEY_FILE: are not a certificate and its key ({error.reason or 'malformed'})"
        ) from None
    except OSError as error:
        raise CommandError(f"TLS_CERTIFICATE_FILE, TLS_KEY_FILE: cannot be read: {error.strerror}") from None


def log_format(text: str) -> str:
    """Return json or text."""
    name = text.strip().lower()
    if name not in ("json", "text"):
        raise CommandError(f"LOG_FORMAT: must be json or text, not {name!r}")
    return name


def state_dir(text: str, *, checkout: Path, home: Path) -> Path:
    """Return the absolute path: ~ and $HOME are expanded, and a relative path is relative to the checkout.

    Other variables are rejected, since they would create a folder with a $ in its name.
    """
    expanded = re.sub(r"^~(?=/|$)|\$\{HOME\}|\$HOME\b", lambda _: str(home), text.strip())
    if re.search(r"\$[A-Za-z_{(]", expanded.replace(str(home), "")) or expanded.startswith("~"):
        raise CommandError(
            f"STATE_DIR: only ~ and ${{HOME}} are expanded; write the path out instead of {text.strip()!r}"
        )
    return checkout / expanded
