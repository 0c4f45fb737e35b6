"""Requests to malicious receivers, on real sockets."""

import gzip
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.webhooks.certificates import Authority
from tests.webhooks.support import Receiver, receiving
from webhooks import http_client
from webhooks.http_client import BODY_BYTES, NO_RESPONSE_IN_TIME, NOT_HTTP, NOT_PUBLIC, TOO_LARGE, Client, SendError

pytestmark = [pytest.mark.enable_socket]

# Less than the default of five, so that the tests are fast; SLACK allows for a busy machine.
SECONDS = 0.6
SLACK = 1.0


def post(
    url: str, *, allow_private: bool = True, body: bytes = b"{}", seconds: float = SECONDS
) -> http_client.Response:
    with Client(allow_private=allow_private, seconds=seconds) as client:
        return client.post(url, body=body, headers={"Content-Type": "application/json"})


def failure(url: str, **arguments: Any) -> str:
    with pytest.raises(SendError) as caught:
        post(url, **arguments)
    return str(caught.value)


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Yield the URL of a receiver that reads the request and then calls ``serve`` with the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                # The client closes the connection, as it should.
                with suppress(OSError):
                    serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(timeout=10)
        assert not thread.is_alive(), "the client left the connection open"


def stay_silent(connection: socket.socket) -> None:
    """Read until the client closes the connection."""
    while connection.recv(65536):
        pass


def drip(connection: socket.socket, piece: bytes, *, pause: float = 0.05) -> None:
    """Send the piece repeatedly, for longer than any request may take."""
    for _ in range(int(10 / pause)):
        connection.sendall(piece)
        time.sleep(pause)


class TestRequest:
    def test_carries_the_body_and_the_headers_and_no_more(self):
        with receiving() as receiver:
            response = post(receiver.url, body=b'{"a":1}')
        assert response.status == 204
        [(headers, body)] = receiver.received
        assert body == b'{"a":1}'
        assert {name.lower(): value for name, value in headers.items()} == {
            "host": f"127.0.0.1:{receiver.server_address[1]}",
            "content-type": "application/json",
            "content-length": "7",
            "accept-encoding": "identity",
            "user-agent": headers["User-Agent"],
        }

    def test_one_connection_serves_several(self):
        with receiving() as receiver, Client(allow_private=True) as client:
            for _ in range(3):
                client.post(receiver.url, body=b"{}", headers={})
        assert (len(receiver.received), receiver.connections) == (3, 1)

    def test_connection_is_made_again_where_the_receiver_has_closed_it(self):
        def respond(handler: Any) -> None:
            handler.send_response(200)
            handler.send_header("Connection", "close")
            handler.end_headers()

        with receiving(respond) as receiver, Client(allow_private=True) as client:
            for _ in range(2):
                assert client.post(receiver.url, body=b"{}", headers={}).status == 200

    def test_cookies_of_a_receiver_are_not_sent_back(self):
        def respond(handler: Any) -> None:
            handler.send_response(204)
            handler.send_header("Set-Cookie", "a=b")
            handler.end_headers()

        with receiving(respond) as receiver, Client(allow_private=True) as client:
            for _ in range(2):
                client.post(receiver.url, body=b"{}", headers={})
        assert "Cookie" not in receiver.received[1][0]

    def test_body_and_retry_after_are_returned(self):
        def respond(handler: Any) -> None:
            handler.send_response(503)
            handler.send_header("Retry-After", "30")
            handler.send_header("Content-Length", "5")
            handler.end_headers()
            handler.wfile.write(b"later")

        with receiving(respond) as receiver:
            response = post(receiver.url)
        assert response == http_client.Response(status=503, retry_after="30", body=b"later")

    def test_proxies_and_netrc_of_the_environment_are_not_used(self, monkeypatch, tmp_path):
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        with receiving() as proxy, receiving() as receiver:
            for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv("no_proxy", "")
            post(receiver.url)
        assert proxy.received == []
        assert "Authorization" not in receiver.received[0][0]


class TestRedirect:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_is_not_followed(self, status: int):
        with receiving() as elsewhere:

            def respond(handler: Any) -> None:
                handler.send_response(status)
                handler.send_header("Location", elsewhere.url)
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            with receiving(respond) as receiver:
                assert post(receiver.url).status == status
            assert elsewhere.received == []

    def test_body_of_one_is_not_decompressed(self):
        """A Session of `requests` reads and decompresses it even if it is told not to follow redirects."""
        bomb = gzip.compress(bytes(50_000_000))

        def respond(handler: Any) -> None:
            handler.send_response(302)
            handler.send_header("Location", "http://127.0.0.1:9/")
            handler.send_header("Content-Encoding", "gzip")
            handler.send_header("Content-Length", str(len(bomb)))
            handler.end_headers()
            handler.wfile.write(bomb)

        with receiving(respond) as receiver:
            response = post(receiver.url)
        assert response.status == 302
        assert response.body == bomb[:BODY_BYTES]


class TestAddress:
    def resolve_to(self, monkeypatch, *results: list[str]) -> list[str]:
        """Have successive lookups return these lists of addresses; return the list of the names looked up."""
        names: list[str] = []
        remaining = list(results)

        def look_up(host: str, port: Any, *arguments: Any, **keywords: Any) -> list[Any]:
            names.append(host)
            addresses = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return names

    def test_private_one_is_refused_without_a_connection(self):
        with receiving() as receiver:
            assert failure(receiver.url, allow_private=False) == NOT_PUBLIC
            assert receiver.connections == 0

    @pytest.mark.parametrize(
        "host", ["localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]"]
    )
    def test_every_way_to_write_one_is_refused(self, host: str):
        with receiving() as receiver:
            url = f"http://{host}:{receiver.server_address[1]}/"
            assert failure(url, allow_private=False) == NOT_PUBLIC
            assert receiver.connections == 0

    def test_name_that_resolves_to_one_is_refused(self, monkeypatch):
        self.resolve_to(monkeypatch, ["127.0.0.1"])
        with receiving() as receiver:
            url = f"http://receiver.example:{receiver.server_address[1]}/"
            assert failure(url, allow_private=False) == NOT_PUBLIC
            assert receiver.connections == 0

    def test_one_private_address_among_public_ones_is_enough(self, monkeypatch):
        self.resolve_to(monkeypatch, ["1.1.1.1", "10.0.0.1"])
        assert failure("http://receiver.example/", allow_private=False) == NOT_PUBLIC

    def test_name_is_resolved_once_and_the_connection_pinned(self, monkeypatch):
        """A name resolves differently each time: the first result is checked and used, the second never requested."""
        monkeypatch.setattr(
            http_client, "is_allowed", lambda address, **_: address == ipaddress.ip_address("127.0.0.1")
        )
        names = self.resolve_to(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
        with receiving() as receiver:
            post(f"http://receiver.example:{receiver.server_address[1]}/", allow_private=False)
            [(headers, _)] = receiver.received
        assert names == ["receiver.example"]
        assert headers["Host"] == f"receiver.example:{receiver.server_address[1]}"

    def test_each_new_connection_is_checked_again(self, monkeypatch):
        monkeypatch.setattr(
            http_client, "is_allowed", lambda address, **_: address == ipaddress.ip_address("127.0.0.1")
        )
        self.resolve_to(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])

        def respond(handler: Any) -> None:
            handler.send_response(200)
            handler.send_header("Connection", "close")
            handler.end_headers()

        with receiving(respond) as receiver, Client(allow_private=False) as client:
            url = f"http://receiver.example:{receiver.server_address[1]}/"
            client.post(url, body=b"{}", headers={})
            with pytest.raises(SendError, match=NOT_PUBLIC):
                client.post(url, body=b"{}", headers={})

    def test_next_address_is_tried_where_one_does_not_answer(self, monkeypatch):
        with receiving() as receiver:
            self.resolve_to(monkeypatch, ["127.0.0.2", "127.0.0.1"])
            port = receiver.server_address[1]
            assert post(f"http://receiver.example:{port}/").status == 204

    def test_missing_name_says_the_same_as_a_private_one(self, monkeypatch):
        def look_up(*arguments: Any, **keywords: Any) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        assert failure("http://missing.example/", allow_private=False) == NOT_PUBLIC


class TestTime:
    """The limit of five seconds for a whole request, however they are spent."""

    @pytest.fixture(autouse=True)
    def measured(self) -> Iterator[None]:
        started = time.monotonic()
        yield
        assert time.monotonic() - started < SECONDS + SLACK

    def test_default_is_five_seconds(self):
        assert http_client.SECONDS == 5

    def test_silence(self):
        with raw_server(stay_silent) as url:
            assert failure(url) == NO_RESPONSE_IN_TIME

    def test_status_line_that_drips(self):
        with raw_server(lambda connection: drip(connection, b"H")) as url:
            assert failure(url) == NO_RESPONSE_IN_TIME

    def test_headers_that_drip(self):
        def serve(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            drip(connection, b"X: y\r\n")

        with raw_server(serve) as url:
            assert failure(url) == NO_RESPONSE_IN_TIME

    def test_body_that_drips_ends_in_time_and_the_status_counts(self):
        def serve(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            drip(connection, b"x")

        with raw_server(serve) as url:
            assert post(url).status == 200

    def test_interim_responses_without_end(self):
        with raw_server(lambda connection: drip(connection, b"HTTP/1.1 100 Continue\r\n\r\n")) as url:
            assert failure(url) == NO_RESPONSE_IN_TIME

    def test_resolver_that_does_not_answer(self, monkeypatch):
        end = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: end.wait(10))
        try:
            assert failure("http://receiver.example/") == NO_RESPONSE_IN_TIME
        finally:
            end.set()

    def test_tls_handshake_that_hangs(self):
        with raw_server(stay_silent) as url:
            assert failure(url.replace("http:", "https:")) == NO_RESPONSE_IN_TIME

    def test_receiver_whose_queue_is_full(self):
        """The connections are not accepted, so the kernel does not respond to further ones."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            waiting = [socket.socket() for _ in range(4)]
            for connection in waiting:
                connection.setblocking(False)
                connection.connect_ex(listener.getsockname())
            assert failure(f"http://127.0.0.1:{listener.getsockname()[1]}/") == NO_RESPONSE_IN_TIME
            for connection in waiting:
                connection.close()


class TestSize:
    def test_large_body_is_cut(self):
        def serve(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 10_000_000)

        with raw_server(serve) as url:
            response = post(url, seconds=5)
        assert (response.status, len(response.body)) == (200, BODY_BYTES)

    def test_endless_chunks_are_cut(self):
        def serve(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                connection.sendall(b"1\r\nx\r\n" * 1000)

        with raw_server(serve) as url:
            response = post(url, seconds=5)
        assert response.status == 200
        assert len(response.body) <= BODY_BYTES

    def test_body_until_the_end_of_the_connection_is_cut(self):
        def serve(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            while True:
                connection.sendall(b"x" * 10_000)

        with raw_server(serve) as url:
            assert len(post(url, seconds=5).body) == BODY_BYTES

    def test_compressed_body_is_not_decompressed(self):
        bomb = gzip.compress(bytes(1_000_000))

        def serve(connection: socket.socket) -> None:
            head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
            connection.sendall(head.encode() + bomb)

        with raw_server(serve) as url:
            assert post(url, seconds=5).body == bomb

    @pytest.mark.parametrize("endless", [b"X: y\r\n", b"X" * 1000, b"HTTP/1.1 100 Continue\r\n\r\n"])
    def test_headers_without_end_are_refused(self, endless: bytes):
        def serve(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\n" if endless[:1] == b"X" else b"")
            while True:
                connection.sendall(endless * 100)

        with raw_server(serve) as url:
            assert failure(url, seconds=5) in (TOO_LARGE, NOT_HTTP)


@pytest.mark.parametrize(
    "response",
    [b"", b"SSH-2.0-OpenSSH_9.9\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"\x00\xff" * 50],
)
def test_what_is_not_http_is_refused(response: bytes):
    with raw_server(lambda connection: connection.sendall(response)) as url:
        assert failure(url) in (NOT_HTTP, "The connection failed: Connection reset by peer.")


def test_refused_connection_says_so():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert failure(f"http://127.0.0.1:{port}/") == "The connection failed: Connection refused."


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class TestTLS:
    @contextmanager
    def tls_receiver(self, authority: Authority, name: str) -> Iterator[tuple[Receiver, str]]:
        with receiving() as receiver:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(authority.certificate_for(name))
            receiver.names = []
            context.sni_callback = lambda _socket, server_name, _context: receiver.names.append(server_name)
            receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
            yield receiver, f"https://receiver.example:{receiver.server_address[1]}/"

    @pytest.fixture(autouse=True)
    def local_name(self, monkeypatch):
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)

    @pytest.fixture
    def trusted(self, authority: Authority, monkeypatch) -> Iterator[None]:
        monkeypatch.setattr("certifi.where", lambda: str(authority.file))
        http_client._tls_context.cache_clear()
        yield
        http_client._tls_context.cache_clear()

    def test_certificate_is_checked_for_the_name_though_the_address_is_pinned(self, authority, trusted):
        with self.tls_receiver(authority, "receiver.example") as (receiver, url):
            assert post(url, seconds=5).status == 204
            assert receiver.names == ["receiver.example"]
            assert receiver.received[0][0]["Host"].startswith("receiver.example:")

    def test_certificate_of_another_name_is_refused(self, authority, trusted):
        with self.tls_receiver(authority, "other.example") as (receiver, url):
            assert "certificate is not valid" in failure(url, seconds=5)
            assert receiver.received == []

    def test_certificate_of_an_unknown_authority_is_refused(self, authority):
        with self.tls_receiver(authority, "receiver.example") as (receiver, url):
            assert "certificate is not valid" in failure(url, seconds=5)
            assert receiver.received == []

    def test_response_that_drips_ends_in_time(self, authority, trusted):
        def respond(handler: BaseHTTPRequestHandler) -> None:
            for _ in range(200):
                handler.wfile.write(b"H")
                time.sleep(0.05)

        with self.tls_receiver(authority, "receiver.example") as (receiver, url):
            receiver.response = respond
            started = time.monotonic()
            assert failure(url) == NO_RESPONSE_IN_TIME
            assert time.monotonic() - started < SECONDS + SLACK

    def test_plain_http_on_the_port_is_a_failed_handshake(self):
        with receiving() as receiver:
            url = f"https://receiver.example:{receiver.server_address[1]}/"
            assert failure(url, seconds=5) == "The TLS handshake failed."


def test_authorities_are_those_of_certifi():
    import certifi

    http_client._tls_context.cache_clear()
    context = http_client._tls_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] == Path(certifi.where()).read_text().count("BEGIN CERTIFICATE")
