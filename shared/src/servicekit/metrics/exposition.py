"""Serve metrics to Prometheus, each part's under a path of its own.

In a container each process of the part does so for all of them, from a thread, on one port (SO_REUSEPORT): whichever
gets the connection reads the folder of them all. Under `make up` one program does so for every part
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

# A client that asks for nothing holds a thread no longer.
SECONDS = 5.0


def serve_own() -> None:
    """Serve the numbers of this process' part on METRICS_ADDRESS, under the part's name, where that is set."""
    if not env.get("METRICS_ADDRESS"):
        return
    own = folder.folder_from_env()
    server = Server({own.name: partial(folder.read, own)})
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class Server(ThreadingHTTPServer):
    """Listens on METRICS_ADDRESS, host:port; ``sources`` goes from each path to what it shows."""

    allow_reuse_port = True
    daemon_threads = True

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = sources
        super().__init__(address("METRICS_ADDRESS"), _Handler)


def address(name: str) -> tuple[str, int]:
    """Return the variable's host and port; raises ConfigurationError."""
    host, _, port = env.require(name).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigurationError(name, "must be host:port")
    return host, int(port)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = SECONDS

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
        """Write no line for each scrape."""


class _Registry:
    """What prometheus_client's text form is made of."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
