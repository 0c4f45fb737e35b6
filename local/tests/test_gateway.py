from pathlib import Path

from local import gateway

ENV = {
    "GATEWAY_ADDRESS": "127.0.0.1",
    "GATEWAY_PORT": "8000",
    "TLS_PORT": "8443",
    "TRUSTED_PROXIES": "",
    "NGINX_PROGRAM": "nginx",
    "AUTH_RATE_LIMIT": "10",
    "CONNECTIONS_PER_ADDRESS": "256",
    "LOG_FORMAT": "text",
    "CORS_ORIGINS": "",
    "RUN_DIR": "/run/5$",
}


def test_dollar_in_the_path_of_the_checkout() -> None:
    values = gateway.values(ENV, checkout=Path("/srv/5$x"))

    assert values["CONSOLE_ROOT"] == "/srv/5${dollar}x/console"
    # Used only in directives that expand no variables.
    assert values["RUN_DIR"] == "/run/5$"


def test_only_names_in_capitals_are_places() -> None:
    assert gateway.render("${RUN_DIR}/$uri ${dollar}", {"RUN_DIR": "/run"}) == "/run/$uri ${dollar}"


def test_reason_for_which_nginx_refuses() -> None:
    output = 'nginx: [emerg] unknown directive "x" in a.conf:1\nnginx: configuration file a.conf test failed\n'
    assert gateway.reason(output) == 'nginx: [emerg] unknown directive "x" in a.conf:1'
    assert gateway.reason("") == "it gave no reason"
