"""What the gateway does, as far as nginx tells: how many connections it has, and what it answered itself.

nginx sends a datagram for each response that no service made (`log_format metrics` in its template): the status, and
which limit it was that refused. What a service made, the service counts. A datagram that is sent while this process
restarts is lost; nginx does not wait.
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

_ANSWER = re.compile(rb"gateway: ([1-5][0-9]{2}) ([A-Z-]+) ([A-Z-]+)$")
_ESTABLISHED = "01"
# For each of the two questions: a health check of this program waits for both.
TIMEOUT_SECONDS = 1.0


class Answers:
    """The responses that nginx made itself, since this process began."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._counts: Counter[tuple[str, str]] = Counter()
        threading.Thread(target=self._read, name="answers", daemon=True).start()

    def _read(self) -> None:
        while True:
            if found := _ANSWER.search(self._socket.recv(2048)):
                self._counts[found[1].decode(), _limit(requests=found[2], attempts=found[3])] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield the counts."""
        responses = CounterMetricFamily(
            "gateway_responses",
            "Responses that the gateway made itself, by status and by the limit that refused the request, if one did.",
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
    """Yield the number of clients' connections to the ports of this machine, where its kernel lists them (Linux)."""
    tables = [path for path in map(Path, ("/proc/net/tcp", "/proc/net/tcp6")) if path.exists()]
    if tables:
        yield _connections(sum(_count(path.read_text(), port=port) for path in tables for port in ports))


def _count(table: str, *, port: int) -> int:
    rows = (line.split() for line in table.splitlines()[1:])
    return sum(row[1].endswith(f":{port:04X}") and row[3] == _ESTABLISHED for row in rows)


def stub_status(path: Path) -> Iterator[Metric]:
    """Yield what nginx's stub_status says on the socket; nothing where it does not answer."""
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
    # One is this question's.
    yield _connections(active - 1)
    yield CounterMetricFamily("gateway_connections_accepted", "Connections of clients that were accepted.", accepted)
    yield CounterMetricFamily("gateway_requests", "Requests that the gateway has received.", requests)


def _connections(count: int) -> Metric:
    return GaugeMetricFamily("gateway_connections", "Connections of clients that are open.", count)


def certificate(address: tuple[str, int]) -> Iterator[Metric]:
    """Yield when the certificate expires that the gateway presents at the host and port; 0 where it presents none.

    Not the file's: the gateway may present another one, and to read the file takes access to the folder of the key.
    """
    try:
        until = x509.load_der_x509_certificate(_presented(address)).not_valid_after_utc
        seconds = until.astimezone(datetime.UTC).timestamp()
    except (OSError, ValueError):
        seconds = 0.0
    yield GaugeMetricFamily(
        "gateway_certificate_expiry_timestamp_seconds",
        "When the gateway's certificate expires, in Unix time; 0 where no handshake succeeds.",
        seconds,
    )


def _presented(address: tuple[str, int]) -> bytes:
    # Whatever is wrong with it, the one that has expired above all, is not for this to judge.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(address, timeout=TIMEOUT_SECONDS) as connection,
        context.wrap_socket(connection) as tls,
    ):
        return tls.getpeercert(binary_form=True) or b""
