"""`make up` with TLS: its tour uses HTTPS, and its metrics cover both ports."""

import datetime
import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import requests
import trustme

from support.commands import run_launcher
from support.ports import free_port
from support.stack import LocalStack, running_stack
from support.waiting import wait_until

EXPIRES = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Secured:
    """A stack with a certificate for a name other than localhost."""

    stack: LocalStack
    settings: dict[str, str]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    issued = trustme.CA().issue_cert("tasks.example.org", not_after=EXPIRES)
    issued.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    settings = {
        "TLS_CERTIFICATE_FILE": str(folder / "certificate.pem"),
        "TLS_KEY_FILE": str(folder / "key.pem"),
        "TLS_PORT": str(free_port()),
    }
    with running_stack(tmp_path_factory.mktemp("state"), **settings) as stack:
        yield Secured(stack, settings)


def test_the_tour_uses_https(secured: Secured) -> None:
    result = run_launcher("demo", "--pause", "0", env={**os.environ, "GATEWAY_PORT": str(secured.stack.port)})

    assert (result.returncode, result.stderr) == (0, "")
    urls = set(re.findall(r"https?://localhost:\d+", result.stdout))
    assert urls == {f"https://localhost:{secured.settings['TLS_PORT']}"}
    assert len(re.findall(r"^HTTP \d+ ", result.stdout, re.MULTILINE)) > 20


def gateways(secured: Secured) -> dict[str, float]:
    """Return the gateway's metrics."""
    text = requests.get(f"http://127.0.0.1:{secured.stack.environment['METRICS_PORT']}/gateway", timeout=10).text
    return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}


def test_metrics_tell_when_the_certificate_expires(secured: Secured) -> None:
    assert gateways(secured)["gateway_certificate_expiry_timestamp_seconds"] == EXPIRES.timestamp()


def test_connections_of_both_ports_are_counted(secured: Secured) -> None:
    before = gateways(secured)["gateway_connections"]
    ports = (secured.stack.port, int(secured.settings["TLS_PORT"]))
    with ExitStack() as clients:
        for port in ports:
            clients.enter_context(socket.create_connection(("127.0.0.1", port)))
        wait_until(lambda: gateways(secured)["gateway_connections"] == before + 2, timeout=5)
