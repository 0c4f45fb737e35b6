"""TLS terminated by the gateway."""

import os
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trustme

from support.gateway import Gateway, Upstream, running_gateway
from support.http import assert_problem, exchange
from support.ports import free_port
from support.waiting import wait_until

NAME = "gateway.test"


class Authority(trustme.CA):
    """Issues certificates for the gateway, each into its own folder; a link points to the current one."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.link = folder / "current"

    def renew(self) -> None:
        """Issue a new certificate with a new key and point the link to it."""
        certificate = self.issue_cert(NAME)
        folder = Path(f"{self.link}-{os.urandom(4).hex()}")
        folder.mkdir()
        certificate.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        following = self.link.with_name("following")
        following.symlink_to(folder)
        following.replace(self.link)

    def settings(self) -> dict[str, str]:
        return {
            "TLS_CERTIFICATE_FILE": str(self.link / "certificate.pem"),
            "TLS_KEY_FILE": str(self.link / "key.pem"),
        }

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.configure_trust(context)
        return context


@dataclass
class Secured:
    """A running gateway with TLS."""

    gateway: Gateway
    port: int
    authority: Authority

    def client(self, *, http2: bool = True) -> httpx.Client:
        transport = httpx.HTTPTransport(verify=self.authority.context(), http2=http2)
        return httpx.Client(transport=transport, base_url=f"https://127.0.0.1:{self.port}", headers={"Host": NAME})

    def get(self, path: str, *, http2: bool = True) -> httpx.Response:
        with self.client(http2=http2) as client:
            return client.get(path, extensions={"sni_hostname": NAME})

    @contextmanager
    def connection(self, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        with context.wrap_socket(plain, server_hostname=NAME) as connection:
            yield connection

    def certificate(self) -> bytes | None:
        with self.connection(self.authority.context()) as connection:
            return connection.getpeercert(binary_form=True)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    authority.renew()
    port = free_port()
    with running_gateway(TLS_PORT=str(port), **authority.settings()) as gateway:
        yield Secured(gateway, port, authority)


@pytest.fixture
def tasks(secured: Secured) -> Iterator[Upstream]:
    with secured.gateway.upstream("tasks") as upstream:
        yield upstream


@pytest.mark.parametrize(("http2", "version"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
def test_client_gets_the_version_of_http_that_it_asks_for(
    secured: Secured, tasks: Upstream, http2: bool, version: str
) -> None:
    response = secured.get("/api/tasks?limit=2", http2=http2)

    assert (response.status_code, response.http_version) == (200, version)
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
    (received,) = tasks.received
    assert received.path == "/api/tasks?limit=2"
    assert received.headers["X-Forwarded-Proto"] == "https"
    assert received.headers["X-Forwarded-Host"] == NAME


def test_error_of_the_gateway_is_a_problem_over_http2(secured: Secured) -> None:
    response = secured.get("/nowhere")

    assert (response.status_code, response.http_version) == (404, "HTTP/2")
    assert response.json()["type"] == "/problems/not-found"
    assert response.headers["Strict-Transport-Security"]


def test_many_requests_share_one_connection(secured: Secured, tasks: Upstream) -> None:
    with secured.client() as client:
        statuses = [client.get("/api/tasks", extensions={"sni_hostname": NAME}).status_code for _ in range(20)]

    assert statuses == [200] * 20


def test_plain_http_is_redirected(secured: Secured, tasks: Upstream) -> None:
    response = secured.gateway.request("POST", "/api/tasks?x=%20y", body=b"{}")

    assert response.status == 308
    assert response.headers["Location"] == f"https://{NAME}:{secured.port}/api/tasks?x=%20y"
    assert not response.headers["Strict-Transport-Security"]
    assert not tasks.received


@pytest.mark.parametrize("path", ["/healthz", "/healthz?x"])
def test_probes_are_answered_over_plain_http(secured: Secured, path: str) -> None:
    assert secured.gateway.request("GET", path).status == 200


def test_readiness_is_answered_over_plain_http(secured: Secured) -> None:
    # The status depends on the services.
    assert secured.gateway.request("GET", "/readyz").status in (200, 503)


def test_malformed_request_over_plain_http_is_a_problem(secured: Secured) -> None:
    assert_problem(secured.gateway.request("GET", "/api//tasks"), 404, "not-found")


def test_plain_http_on_the_port_of_tls_is_redirected(secured: Secured) -> None:
    with socket.create_connection(("127.0.0.1", secured.port), timeout=30) as connection:
        response = exchange(connection, f"GET /api/tasks HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())

    assert response.status == 308
    assert response.headers["Location"] == f"https://{NAME}:{secured.port}/api/tasks"


def test_without_tls_nothing_is_redirected(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    response = gateway.request("GET", "/api/tasks")

    assert response.status == 200
    assert not response.headers["Strict-Transport-Security"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_current_versions_of_tls(secured: Secured, version: ssl.TLSVersion) -> None:
    context = secured.authority.context()
    context.minimum_version = context.maximum_version = version
    with secured.connection(context) as connection:
        assert connection.version() == version.name.replace("_", ".")
        cipher = connection.cipher()
    assert cipher
    assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]


def test_outdated_version_of_tls_is_refused(secured: Secured) -> None:
    context = secured.authority.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"), secured.connection(context):
        pass


@pytest.mark.parametrize("ciphers", ["ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA", "AES128-GCM-SHA256:AES128-SHA"])
def test_outdated_cipher_is_refused(secured: Secured, ciphers: str) -> None:
    context = secured.authority.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"), secured.connection(context):
        pass


def test_renewed_certificate_is_used_without_a_restart_and_fails_no_request(secured: Secured, tasks: Upstream) -> None:
    stop = threading.Event()
    statuses: list[int] = []
    broken: list[str] = []

    def load() -> None:
        while not stop.is_set():
            try:
                statuses.append(secured.get("/api/tasks").status_code)
            except httpx.ConnectError as error:
                broken.append(str(error))

    with secured.client() as kept:
        assert kept.get("/api/tasks", extensions={"sni_hostname": NAME}).status_code == 200
        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(statuses) > 10, timeout=30)
        old, before = secured.certificate(), len(statuses)
        secured.authority.renew()
        wait_until(lambda: secured.certificate() != old, timeout=5, what="the new certificate is used")
        wait_until(lambda: len(statuses) > before + 10, timeout=30)
        stop.set()
        for thread in threads:
            thread.join()
        assert kept.get("/api/tasks", extensions={"sni_hostname": NAME}).status_code == 200

    assert set(statuses) == {200}
    # A handshake may read the old certificate and the new key if the link changes in between.
    assert len(broken) <= 1, broken


def test_key_of_another_certificate_is_refused_at_the_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.renew()
    other = tmp_path / "other.pem"
    authority.issue_cert("other.test").private_key_pem.write_to_path(other)

    reason = "TLS_CERTIFICATE_FILE, TLS_KEY_FILE: are not a certificate and its key"
    settings = {**authority.settings(), "TLS_KEY_FILE": str(other)}
    with pytest.raises(AssertionError, match=reason), running_gateway(**settings):
        pass
