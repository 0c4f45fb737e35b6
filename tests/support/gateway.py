"""The real nginx with the real templates, in front of small servers on Unix sockets that record their requests."""

import os
import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from support.commands import output_of, program, run_in_launcher
from support.http import Response, exchange
from support.ports import free_port
from support.processes import short_folder
from support.waiting import wait_until


@dataclass(frozen=True)
class Received:
    """A request as a service received it."""

    method: str
    path: str
    headers: Message
    body: bytes


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
        response = self.server.respond(received)
        if response is None:
            self.close_connection = True
            return
        self.send_response(response.status)
        for name, value in {"Content-Type": "application/json", **dict(response.headers)}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if received.method != "HEAD":
            self.wfile.write(response.body)

    def log_message(self, *_: object) -> None:
        pass


class Upstream(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A service that sends what ``respond`` returns (None: closes the connection) and records the requests."""

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
        self.respond: Callable[[Received], Response | None] = lambda _: Response()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # The gateway closed the connection; the test checks what the client received.

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self.path.unlink()


@dataclass
class Gateway:
    """A running gateway."""

    port: int
    folder: Path
    # Receives the messages that nginx sends to the metrics about its own responses.
    own_responses: socket.socket = field(init=False)

    @contextmanager
    def upstream(
        self, service: str, respond: Callable[[Received], Response | None] = lambda _: Response()
    ) -> Iterator[Upstream]:
        """Run a server in the service's place behind the gateway."""
        upstream = Upstream(self.folder / f"{service}.sock")
        upstream.respond = respond
        try:
            yield upstream
        finally:
            upstream.stop()

    def log(self, *, lines: int = 0) -> str:
        """Return nginx's output once it has at least ``lines`` lines: nginx logs a request after responding to it."""

        def written() -> str | None:
            text = (self.folder / "output").read_text()
            return f"{text}\0" if text.count("\n") >= lines else None

        return wait_until(written, timeout=5, what=f"nginx has written {lines} lines").removesuffix("\0")

    def raw(self, request: bytes, *, then: bytes = b"", method: str = "GET") -> Response:
        """Send exactly these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            return exchange(connection, request, then, method=method)

    def request(self, method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes = b"") -> Response:
        """Send a request with this raw path."""
        lines = [f"{method} {path} HTTP/1.1", "Host: gateway.test", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.raw("\r\n".join(lines).encode() + b"\r\n\r\n", then=body, method=method)

    def listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except ConnectionRefusedError:
            return False
        return True


@contextmanager
def running_gateway(*, replace: dict[str, str] | None = None, **settings: str) -> Iterator[Gateway]:
    """Run nginx as the launcher configures it with these settings; ``replace`` changes text in its configuration."""
    with short_folder("gateway") as folder:
        gateway = Gateway(free_port(), folder)
        nginx = _configure(gateway, settings)
        for path in folder.glob("*.conf"):
            text = path.read_text()
            for old, new in (replace or {}).items():
                text = text.replace(old, new)
            path.write_text(text)
        # Without this socket, nginx would log an error for each of its own responses.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gateway.own_responses:
            gateway.own_responses.bind(str(folder / "metrics.sock"))
            gateway.own_responses.settimeout(5)
            with (folder / "output").open("a") as output:
                process = subprocess.Popen(
                    [nginx, "-e", "stderr", "-c", folder / "nginx.conf"], stdout=output, stderr=output
                )
            try:
                wait_until(gateway.listens, timeout=10, what=lambda: f"nginx listens: {gateway.log()}")
                yield gateway
            finally:
                process.terminate()
                process.wait(timeout=10)


def _configure(gateway: Gateway, settings: dict[str, str]) -> str:
    """Write the configuration files and return the path of the nginx to run."""
    env = {
        "PATH": os.environ["PATH"],
        "RUN_DIR": str(gateway.folder),
        "GATEWAY_ADDRESS": "127.0.0.1",
        "GATEWAY_PORT": str(gateway.port),
        "TLS_PORT": "8443",
        "TRUSTED_PROXIES": "",
        "AUTH_RATE_LIMIT": "10",
        "CONNECTIONS_PER_ADDRESS": "256",
        "CORS_ORIGINS": "",
        "LOG_FORMAT": "json",
    }
    return output_of(run_in_launcher(*program("launcher/render_nginx"), env=env | settings)).strip()
