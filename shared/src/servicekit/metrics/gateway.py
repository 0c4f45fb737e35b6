"""Metrics of the gateway from nginx: its connections, and the responses that it generated itself.

nginx sends a datagram for each response that it generated (`log_format metrics` in its template): the status, and the
limit that refused the request. The services count their own responses. Datagrams that are sent while this process
restarts are lost; nginx does not wait.
"""

import datetime
import http.client
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

_DATAGRAM = re.compile(rb"gateway: ([1-5][0-9]{2}) ([A-Z-]+) ([A-Z-]+)$")
_ESTABLISHED = "01"
# Per query, for stub_status and for the certificate; a health check of this program waits for both.
TIMEOUT_SECONDS = 1.0


class ResponseCounter:
    """Counts the responses that nginx generated itself, from the start of this process."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._counts: Counter[tuple[str, str]] = Counter()
        threading.Thread(target=self._read, name="gateway-responses", daemon=True).start()

    def _read(self) -> None:
        while True:
            if found := _DATAGRAM.search(self._socket.recv(2048)):
                self._counts[found[1].decode(), _limit(requests=found[2], attempts=found[3])] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield the counts."""
        responses = CounterMetricFamily(
            "gateway_responses",
            "Responses that the gateway generated itself, by status and the limit that refused the request, if any.",
            labels=["http_response_status_code", "limit"],
        )
        for labels, count in self._counts.copy().items():
            responses.add_metric(labels, count)
        yield responses


def _limit(*, requests: bytes, attempts: bytes) -> str:
    if requests == b"REJECTED":
        return "requests"
    return "attempts" if attempts == b"REJECTED" else "none"


def connections_to(*ports: int) -> Iterator[Metric]:
    """Yield the number of client connections to these ports of this machine, if its kernel lists them (Linux)."""
    tables = [path for path in map(Path, ("/proc/net/tcp", "/proc/net/tcp6")) if path.exists()]
    if tables:
        yield _connections(sum(_count(path.read_text(), port=port) for path in tables for port in ports))


def _count(table: str, *, port: int) -> int:
    rows = (line.split() for line in table.splitlines()[1:])
    return sum(row[1].endswith(f":{port:04X}") and row[3] == _ESTABLISHED for row in rows)


def stub_status(path: Path) -> Iterator[Metric]:
    """Yield the metrics of nginx's stub_status on the socket; nothing if it does not respond."""
    connection = http.client.HTTPConnection("gateway")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(TIMEOUT_SECONDS)
    try:
        connection.sock.connect(str(path))
        connection.request("GET", "/status")
        active, accepted, _, requests, *_ = map(int, re.findall(rb"\d+", connection.getresponse().read()))
    except (OSError, http.client.HTTPException, ValueError):
        return
    finally:
        connection.close()
    # One of them is this query's own connection.
    yield _connections(active - 1)
    yield CounterMetricFamily("gateway_connections_accepted", "Client connections that were accepted.", accepted)
    yield CounterMetricFamily("gateway_requests", "Requests that the gateway has received.", requests)


def _connections(count: int) -> Metric:
    return GaugeMetricFamily("gateway_connections", "Open client connections.", count)


def certificate(address: tuple[str, int]) -> Iterator[Metric]:
    """Yield when the certificate that the gateway presents at the host and port expires; 0 if it presents none.

    The file is not read: the gateway may present another certificate, and reading needs access to the key's folder.
    """
    try:
        until = x509.load_der_x509_certificate(_presented(address)).not_valid_after_utc
        seconds = until.astimezone(datetime.UTC).timestamp()
    except (OSError, ValueError):
        seconds = 0.0
    yield GaugeMetricFamily(
        "gateway_certificate_expiry_timestamp_seconds",
        "When the gateway's certificate expires, in Unix time; 0 if no handshake succeeds.",
        seconds,
    )


def _presented(address: tuple[str, int]) -> bytes:
    # Report any certificate, even an expired one.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(address, timeout=TIMEOUT_SECONDS) as connection,
        context.wrap_socket(connection) as tls,
    ):
        return tls.getpeercert(binary_form=True) or b""
