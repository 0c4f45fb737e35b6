"""The metrics that come from nginx."""

import datetime
import http.server
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from prometheus_client.metrics_core import Metric

from servicekit.metrics import gateway

STATUS = b"""Active connections: 5
server accepts handled requests
 12 11 40
Reading: 1 Writing: 1 Waiting: 3
"""


def values(metrics: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    return {(s.name, *s.labels.values()): s.value for metric in metrics for s in metric.samples}


@pytest.fixture
def counter(tmp_path: Path) -> gateway.ResponseCounter:
    return gateway.ResponseCounter(tmp_path / "metrics.sock")


def send(path: Path, *lines: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nginx:
        nginx.connect(str(path))
        for line in lines:
            nginx.send(f"<190>Nov 26 00:27:51 gateway: {line}".encode())


def wait_for(counter: gateway.ResponseCounter, *, total: int) -> dict[tuple[str, ...], float]:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = values(counter.collect())
        if sum(found.values()) >= total:
            return found
        time.sleep(0.01)
    raise AssertionError(found)


def test_answers_are_counted_by_status_and_limit(counter: gateway.ResponseCounter, tmp_path: Path) -> None:
    send(
        tmp_path / "metrics.sock",
        "404 PASSED -",
        "404 PASSED -",
        "429 REJECTED -",
        "429 PASSED REJECTED",
        "502 - PASSED",
    )

    name = "gateway_responses_total"
    assert wait_for(counter, total=5) == {
        (name, "404", "none"): 2,
        (name, "429", "requests"): 1,
        (name, "429", "attempts"): 1,
        (name, "502", "none"): 1,
    }


@pytest.mark.parametrize("line", ["", "999 - -", "20 - -", "200 -", "200 - - more", "200 a b", "\0", "x" * 3000])
def test_anything_else_is_not_counted(counter: gateway.ResponseCounter, tmp_path: Path, line: str) -> None:
    send(tmp_path / "metrics.sock", line, "200 - -")

    assert wait_for(counter, total=1) == {("gateway_responses_total", "200", "none"): 1}


def test_socket_that_a_killed_process_has_left_is_replaced(counter: gateway.ResponseCounter, tmp_path: Path) -> None:
    again = gateway.ResponseCounter(tmp_path / "metrics.sock")
    send(tmp_path / "metrics.sock", "200 - -")

    assert wait_for(again, total=1)
    assert values(counter.collect()) == {}


class StatusServer(socketserver.ThreadingUnixStreamServer):
    """Responds on its socket like stub_status."""

    class RequestHandlerClass(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/status" else 404)
            self.end_headers()
            self.wfile.write(STATUS)

        def log_message(self, *_: object) -> None:
            pass

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), self.RequestHandlerClass)


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    with server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield
        server.shutdown()


def test_stub_status_tells_connections_and_requests(tmp_path: Path) -> None:
    with serving(StatusServer(tmp_path / "status.sock")):
        assert values(gateway.stub_status(tmp_path / "status.sock")) == {
            ("gateway_connections",): 4,
            ("gateway_connections_accepted_total",): 12,
            ("gateway_requests_total",): 40,
        }


def test_nginx_that_does_not_answer_tells_nothing(tmp_path: Path) -> None:
    assert values(gateway.stub_status(tmp_path / "status.sock")) == {}


def test_open_connections_to_the_port_are_counted(socket_enabled: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        port = server.getsockname()[1]
        clients = [socket.create_connection(each.getsockname()) for each in (server, server, other)]
        assert values(gateway.connections_to(port)) == {("gateway_connections",): 2}
        for client in clients:
            client.close()


class TlsServer(socketserver.ThreadingTCPServer):
    """Presents a certificate that expires at ``until``."""

    class RequestHandlerClass(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.server.context.wrap_socket(self.request, server_side=True).close()

    def __init__(self, folder: Path, until: datetime.datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway.test")])
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, until - datetime.timedelta(days=9), until)
        path = folder / "certificate.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(path)
        super().__init__(("127.0.0.1", 0), self.RequestHandlerClass)


# An expired certificate is the one to report above all.
@pytest.mark.parametrize("year", [2021, 2031])
def test_certificate_tells_when_it_expires(socket_enabled: None, tmp_path: Path, year: int) -> None:
    until = datetime.datetime(year, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
    with serving(server := TlsServer(tmp_path, until)):
        found = values(gateway.certificate(server.server_address))
    assert found == {("gateway_certificate_expiry_timestamp_seconds",): until.timestamp()}


EXPIRY = ("gateway_certificate_expiry_timestamp_seconds",)


def test_gateway_without_a_certificate_is_as_one_whose_has_expired(socket_enabled: None, unused_port: int) -> None:
    assert values(gateway.certificate(("127.0.0.1", unused_port))) == {EXPIRY: 0}
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        assert values(gateway.certificate(server.getsockname())) == {EXPIRY: 0}


@pytest.fixture
def at_once() -> Iterator[None]:
    """Fail a test that waits longer than the timeouts of both queries."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 2 * gateway.TIMEOUT_SECONDS + 1


@pytest.mark.usefixtures("at_once")
def test_gateway_that_hangs_does_not_delay_the_metrics(socket_enabled: None, tmp_path: Path) -> None:
    # The kernel completes the connections, but no process accepts them.
    with socket.create_server(("127.0.0.1", 0)) as port, socket.socket(socket.AF_UNIX) as status:
        status.bind(str(tmp_path / "status.sock"))
        status.listen()
        assert values(gateway.stub_status(tmp_path / "status.sock")) == {}
        assert values(gateway.certificate(port.getsockname())) == {EXPIRY: 0}


def test_socket_that_a_killed_nginx_has_left_tells_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as status:
        status.bind(str(tmp_path / "status.sock"))
    assert values(gateway.stub_status(tmp_path / "status.sock")) == {}


def test_answer_that_is_no_status_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.STATUS", b"Active connections: 5")
    with serving(StatusServer(tmp_path / "status.sock")):
        assert values(gateway.stub_status(tmp_path / "status.sock")) == {}
