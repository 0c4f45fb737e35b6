from pathlib import Path

import pytest

from local import settings
from local.errors import CommandError


@pytest.mark.parametrize("text", ["", "http", "0", "65536", "-1", "80.0", "١", "8000 8001"])
def test_malformed_port(text: str) -> None:
    with pytest.raises(CommandError, match=r"^GATEWAY_PORT: must be a port number"):
        settings.port("GATEWAY_PORT", text)


def test_port() -> None:
    assert settings.port("GATEWAY_PORT", " 8000 ") == 8000


@pytest.mark.parametrize("text", ["", "0", "-1", "1r/s;", "2 --reload", "1.5"])
def test_malformed_count(text: str) -> None:
    with pytest.raises(CommandError, match=r"^AUTH_RATE_LIMIT: must be a whole number"):
        settings.count("AUTH_RATE_LIMIT", text)


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "https://app.example.org/",
        "https://app.example.org, http://localhost",
        'https://a"; return 200; #',
        "https://app.example.org:port",
        "https://app.example.org:443",
        "http://localhost:5173,http://app.example.org:80",
        "https://[2001:db8::1]:443",
    ],
)
def test_malformed_origins(text: str) -> None:
    with pytest.raises(CommandError, match=r"^CORS_ORIGINS: must be "):
        settings.cors_origins(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://app.example.org",
        "http://[fe80::80],http://[fe80::80]:81,https://[2001:db8::443],http://localhost:5173",
    ],
)
def test_origins(text: str) -> None:
    assert settings.cors_origins(f" {text} ") == text


@pytest.mark.parametrize("text", ["0", "65536", "many"])
def test_malformed_limit_of_connections(text: str) -> None:
    with pytest.raises(CommandError, match=r"^CONNECTIONS_PER_ADDRESS: must be a whole number from 1 to 65535"):
        settings.connections_per_address(text)


@pytest.mark.parametrize(
    ("address", "form"),
    [("127.0.0.1", "127.0.0.1:80"), (" 0.0.0.0 ", "0.0.0.0:80"), ("::", "[::]:80 ipv6only=off")],
)
def test_address_to_listen_on(address: str, form: str) -> None:
    assert settings.listen(address, 80) == form


@pytest.mark.parametrize("address", ["", "*", "localhost", "192.0.2.1", "0.0.0.0; return 200"])
def test_other_address_to_listen_on(address: str) -> None:
    with pytest.raises(CommandError, match=r"^GATEWAY_ADDRESS: must be "):
        settings.listen(address, 80)


def test_trusted_proxies() -> None:
    assert settings.trusted_proxies(" ") == []
    assert settings.trusted_proxies("192.0.2.7, 2001:db8::/64") == ["192.0.2.7/32", "2001:db8::/64"]


@pytest.mark.parametrize("text", ["proxy.test", "192.0.2.7/24", "192.0.2.7;", "192.0.2.7,,", "192.0.2.7 192.0.2.8"])
def test_malformed_proxies(text: str) -> None:
    with pytest.raises(CommandError, match=r"^TRUSTED_PROXIES: must be addresses or networks"):
        settings.trusted_proxies(text)


@pytest.mark.parametrize(
    ("certificate", "key", "reason"),
    [
        ("/nonexistent/c.pem", "/nonexistent/k.pem", "TLS_CERTIFICATE_FILE, TLS_KEY_FILE: cannot be read: No such"),
        ("c.pem", "/k.pem", "TLS_CERTIFICATE_FILE: must be the absolute path of a PEM file, not 'c.pem'"),
        ("/c.pem", "", "TLS_KEY_FILE: must be the absolute path of a PEM file, not ''"),
        (__file__, __file__, "TLS_CERTIFICATE_FILE, TLS_KEY_FILE: are not a certificate and its key"),
    ],
)
def test_unusable_certificate(certificate: str, key: str, reason: str) -> None:
    with pytest.raises(CommandError, match=f"^{reason}"):
        settings.check_certificate(certificate, key)


def test_log_format() -> None:
    assert settings.log_format("JSON") == "json"
    with pytest.raises(CommandError, match=r"^LOG_FORMAT: must be json or text"):
        settings.log_format("xml")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("var", "/checkout/var"),
        ("/srv/state", "/srv/state"),
        ("~", "/home/ada"),
        ("~/state", "/home/ada/state"),
        ("${HOME}/state", "/home/ada/state"),
        ("$HOME/state", "/home/ada/state"),
        ("/srv/5$", "/srv/5$"),
    ],
)
def test_state_dir(text: str, path: str) -> None:
    assert settings.state_dir(text, checkout=Path("/checkout"), home=Path("/home/ada")) == Path(path)


@pytest.mark.parametrize("text", ["~ada/state", "${TMPDIR}/state", "$HOMES/state", "$(pwd)/state"])
def test_state_dir_with_what_is_not_expanded(text: str) -> None:
    with pytest.raises(CommandError, match=r"^STATE_DIR: only ~ and"):
        settings.state_dir(text, checkout=Path("/checkout"), home=Path("/home/ada"))
