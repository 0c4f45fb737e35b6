"""The real nginx with the real templates, in front of small servers on unix sockets that tell what reached them."""

import http.client
import json
import os
import re
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SERVICES = ("auth", "tasks", "scheduler")


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: http.client.HTTPMessage
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


@dataclass(frozen=True)
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Upstream"

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        received = Received(self.command, self.path, self.headers, body)
        self.server.received.append(received)
        answer = self.server.answer(received)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if received.method != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        pass


class Upstream(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """One service: answers what ``answer`` returns (None: hangs up) and remembers what it was asked."""

    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reset()
        super().__init__(str(path), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def reset(self) -> None:
        self.connections = 0
        self.received: list[Received] = []
        self.answer: Callable[[Received], Answer | None] = lambda _: Answer()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # The gateway hung up; the test looks at what the client got.

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self.path.unlink()


@dataclass
class Gateway:
    port: int
    folder: Path

    def log(self, lines: int = 0) -> str:
        """What nginx has written, once it is this many lines: it logs a request after it has answered it."""
        deadline = time.monotonic() + 5
        while (text := (self.folder / "output").read_text()).count("\n") < lines and time.monotonic() < deadline:
            time.sleep(0.02)
        return text

    def raw(self, request: bytes, *, then: bytes = b"", method: str = "GET") -> Response:
        """Send exactly these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            # An early refusal closes the connection while we still send.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request)
                connection.sendall(then)
            response = http.client.HTTPResponse(connection, method=method)
            try:
                response.begin()
                return Response(response.status, response.headers, response.read())
            finally:
                response.close()

    def request(self, method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes = b"") -> Response:
        """Send a request with this raw path."""
        lines = [f"{method} {path} HTTP/1.1", "Host: gateway.test", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.raw("\r\n".join(lines).encode() + b"\r\n\r\n", then=body, method=method)


def find_nginx() -> str:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which("nginx", path=path) or shutil.which(CHECKOUT / "var/env/servers/bin/nginx")
    assert found, "make installs nginx where the machine has none"
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_gateway(*, replace: dict[str, str] | None = None, **values: str) -> Iterator[Gateway]:
    """nginx with the templates; ``replace`` changes a line of them, ``values`` what is filled in."""
    # Not tmp_path, which can be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="gateway-"))
    port = free_port()
    filled = {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "AUTH_RATE_LIMIT": "10",
        "LOG_FORMAT": "json",
        "CONSOLE_ROOT": str(CHECKOUT / "console"),
        "CORS_ORIGINS": "",
        "SWAGGER_UI_ROOT": str(
            CHECKOUT / "var/env/pages/drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist"
        ),
        "RUN_DIR": str(folder),
        "USER": "user root root;" if os.getuid() == 0 else "",
        **values,
    }
    for template in ("nginx/gateway.conf.template", "local/nginx.conf.template"):
        text = (CHECKOUT / template).read_text()
        for old, new in (replace or {}).items():
            text = text.replace(old, new)
        text = re.sub(r"\$\{([A-Z_]+)\}", lambda match: filled[match[1]], text)
        (folder / Path(template).stem).write_text(text)

    with (folder / "output").open("a") as output:
        process = subprocess.Popen(
            [find_nginx(), "-e", "stderr", "-c", str(folder / "nginx.conf")], stdout=output, stderr=output
        )
        gateway = Gateway(port, folder)
        try:
            _wait_until_open(gateway, process)
            yield gateway
        finally:
            process.terminate()
            process.wait(timeout=10)
            shutil.rmtree(folder)


def _wait_until_open(gateway: Gateway, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert process.poll() is None, gateway.log()
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", gateway.port)):
            return
        time.sleep(0.02)
    raise AssertionError(f"nginx does not listen: {gateway.log()}")


@pytest.fixture(scope="session")
def shared_gateway() -> Iterator[Gateway]:
    with running_gateway(AUTH_RATE_LIMIT="1000") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def shared_upstreams(shared_gateway: Gateway) -> Iterator[dict[str, Upstream]]:
    upstreams = {service: Upstream(shared_gateway.folder / f"{service}.sock") for service in SERVICES}
    yield upstreams
    for upstream in upstreams.values():
        upstream.stop()


@pytest.fixture
def upstreams(shared_upstreams: dict[str, Upstream]) -> dict[str, Upstream]:
    for upstream in shared_upstreams.values():
        upstream.reset()
    return shared_upstreams


@pytest.fixture
def gateway(shared_gateway: Gateway, upstreams: dict[str, Upstream]) -> Gateway:
    """A gateway with all three services behind it."""
    return shared_gateway


@pytest.fixture
def problem() -> Callable[[Response, int, str], dict[str, Any]]:
    """Hold an answer of nginx's own against what the contract says of every error."""

    def check(response: Response, status: int, slug: str) -> dict[str, Any]:
        assert response.status == status, response
        assert response.headers["Content-Type"] == "application/problem+json"
        body: dict[str, Any] = response.json()
        assert set(body) == {"type", "title", "status", "detail", "instance", "request_id"}
        assert body["type"] == f"/problems/{slug}"
        assert body["status"] == status
        assert body["request_id"] == response.headers["X-Request-ID"]
        assert response.headers.get_all("Cache-Control") == ["no-store"]
        secured(response)
        return body

    return check


def secured(response: Response) -> None:
    for name, value in {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
    }.items():
        assert response.headers.get_all(name) == [value], name
    (policy,) = response.headers.get_all("Content-Security-Policy") or []
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    (request_id,) = response.headers.get_all("X-Request-ID") or []
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    assert response.headers["Server"] == "nginx"
