"""Serve metrics to Prometheus, with a separate path for each part.

In a container, each process of the part listens on the same port (SO_REUSEPORT) in a thread, and the one that accepts
the connection serves the metrics of them all from their folder. Under `make up`, one program serves every part
(``python -m servicekit.metrics``).
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from servicekit.metrics import folder
from servicekit.process import env
from servicekit.process.env import ConfigurationError

Source = Callable[[], Iterable[Metric]]

# How long a client may hold a thread without sending a request.
TIMEOUT_SECONDS = 5.0


def serve_own() -> None:
    """Serve the metrics of this process's part on METRICS_ADDRESS, if that is set, under the part's name."""
    if not env.get("METRICS_ADDRESS"):
        return
    own = folder.folder_from_env()
    server = Server({own.name: partial(folder.read, own)})
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class Server(ThreadingHTTPServer):
    """Listens on METRICS_ADDRESS (host:port); ``sources`` maps each path to its metrics."""

    allow_reuse_port = True
    daemon_threads = True

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = sources
        super().__init__(address("METRICS_ADDRESS"), _Handler)


def address(name: str) -> tuple[str, int]:
    """Return the variable's host and port; raises ConfigurationError if it is malformed."""
    host, _, port = env.require(name).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigurationError(name, "must be host:port")
    return host, int(port)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = TIMEOUT_SECONDS

    def do_GET(self) -> None:
        source = self.server.sources.get(self.path.removeprefix("/"))
        if source is None:
            self._send(404, "text/plain; charset=utf-8", "".join(f"/{name}\n" for name in self.server.sources).encode())
            return
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        self._send(200, content_type, encode(_Registry(source())))

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Do not log scrapes."""


class _Registry:
    """The part of prometheus_client's registry that its encoders use."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
