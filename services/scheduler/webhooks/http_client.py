"""An HTTP client that POSTs to URLs chosen by users, and does not trust the servers behind them.

- The host is resolved once, every address is checked, and the connection goes to a checked address, so a name that
  would resolve differently the next time (DNS rebinding) gains nothing.
- A request has SECONDS in total for resolving, connecting, TLS, sending and receiving. Socket timeouts apply to each
  read, so a receiver that sends a byte per second would never exceed them.
- No redirects, proxies, cookies or .netrc: a request is passed directly to the adapter of `requests`, without its
  Session, which would also read and decompress the whole body of a redirect that it does not follow.
- Received bytes are counted, including headers, and never decompressed.
"""

import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Self

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

from webhooks.targets import IPAddress, is_allowed, parse_address

SECONDS = 5.0
BODY_BYTES = 64 * 1024
HEADER_BYTES = 16 * 1024
# A lookup cannot be cancelled, only abandoned; the system's resolver gives up after about 30 s.
RESOLVER_THREADS = 64

# Also the message for a name that does not resolve, so as not to reveal which names exist inside our network.
NOT_PUBLIC = "The host does not resolve to a public address."
NO_RESPONSE_IN_TIME = "No response came in time."
TOO_LARGE = "The response's headers are too large."
NOT_HTTP = "The response is not valid HTTP."


class SendError(Exception):
    """No response was received; the message is for the owner of the endpoint."""


class _Refused(Exception):
    """The request was aborted here. Not an OSError, since libraries convert those into their own errors."""


@dataclass(frozen=True, slots=True)
class Response:
    """The receiver's response, with at most BODY_BYTES of its body, or as much as could be read."""

    status: int
    retry_after: str
    body: bytes


class Client:
    """A client that sends requests one after another, over one connection if the receiver keeps it open."""

    def __init__(self, *, allow_private: bool, seconds: float = SECONDS) -> None:
        self._allow_private = allow_private
        self._seconds = seconds
        self._adapter = _Adapter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._adapter.close()

    def post(self, url: str, *, body: bytes, headers: dict[str, str]) -> Response:
        """POST the body and return the response; raises SendError if there is none in time."""
        meter = _Meter(seconds=self._seconds, allow_private=self._allow_private)
        token = _meter.set(meter)
        try:
            request = requests.Request("POST", url, data=body, headers=headers).prepare()
            response = self._adapter.send(request, stream=True, timeout=self._seconds)
            return _read(response)
        except _Refused as refused:
            raise SendError(str(refused)) from None
        except (OSError, urllib3.exceptions.HTTPError, ValueError) as error:
            raise SendError(_describe(error)) from error
        finally:
            _meter.reset(token)


def _read(response: requests.Response) -> Response:
    """Return the response with as much of the body as can be read: the status alone decides the outcome."""
    body = b""
    try:
        body = response.raw.read(BODY_BYTES, decode_content=False)
    except (_Refused, OSError, urllib3.exceptions.HTTPError, ValueError):
        pass
    finally:
        # This keeps the connection open only if the body was read completely.
        response.close()
    return Response(status=response.status_code, retry_after=response.headers.get("Retry-After", ""), body=body)


class _Meter:
    """The remaining budget of one request: time, and bytes to receive."""

    def __init__(self, *, seconds: float, allow_private: bool) -> None:
        self._deadline = time.monotonic() + seconds
        self._bytes_left = HEADER_BYTES + BODY_BYTES
        self._allow_private = allow_private

    def seconds_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _Refused(NO_RESPONSE_IN_TIME)
        return left

    def received(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise _Refused(TOO_LARGE)

    def resolve(self, host: str) -> list[IPAddress]:
        """Return the host's addresses; raises _Refused if the lookup fails or one of them is not allowed."""
        literal = parse_address(host)
        addresses = [literal] if literal is not None else self._look_up(host)
        if not all(is_allowed(address, allow_private=self._allow_private) for address in addresses):
            raise _Refused(NOT_PUBLIC)
        return addresses

    def _look_up(self, host: str) -> list[IPAddress]:
        lookup = _resolver().submit(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
        try:
            found = lookup.result(timeout=self.seconds_left())
        except TimeoutError:
            raise _Refused(NO_RESPONSE_IN_TIME) from None
        # The IDNA codec raises UnicodeError for a name that it cannot encode, such as one with an overlong label.
        except (OSError, UnicodeError):
            raise _Refused(NOT_PUBLIC) from None
        parsed = [parse_address(str(sockaddr[0])) for *_, sockaddr in found]
        return [address for address in dict.fromkeys(parsed) if address is not None]


# The meter of this thread's current request.
_meter: ContextVar[_Meter] = ContextVar("_meter")


@cache
def _resolver() -> ThreadPoolExecutor:
    """Return the thread pool for lookups, created at first use: after the worker has forked its processes."""
    return ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolver")


class _Metered(socket.socket):
    """A socket whose reads and writes fail once the request's time is up."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        meter = _meter.get()
        self.settimeout(meter.seconds_left())
        try:
            count = super().recv_into(*args, **kwargs)
        except TimeoutError:
            raise _Refused(NO_RESPONSE_IN_TIME) from None
        meter.received(count)
        return count

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(_meter.get().seconds_left())
        super().sendall(*args, **kwargs)


class _MeteredTLS(_Metered, ssl.SSLSocket):
    """The same for TLS; its handshake honours the timeout as a whole."""


def _connect(host: str, port: int) -> socket.socket:
    """Return a connection to the first of the host's checked addresses that accepts one."""
    meter = _meter.get()
    addresses = meter.resolve(host)
    failure: OSError | None = None
    for number, address in enumerate(addresses):
        connection = _Metered(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        try:
            # An unresponsive address must leave time for the remaining ones.
            connection.settimeout(meter.seconds_left() / (len(addresses) - number))
            connection.connect((str(address), port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The timeout of the TLS handshake that follows.
            connection.settimeout(meter.seconds_left())
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure or _Refused(NOT_PUBLIC)


class _HTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self._dns_host, self.port)


class _HTTPSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self._dns_host, self.port)


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=_tls_context(), **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def cert_verify(self, *args: Any) -> None:
        """Do nothing: the context has already loaded the certificates, which takes 20 ms."""


@cache
def _tls_context() -> ssl.SSLContext:
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.check_hostname = True
    context.load_verify_locations(certifi.where())
    context.sslsocket_class = _MeteredTLS
    return context


def _describe(error: BaseException) -> str:
    """Return a description of the failure, based on the causes of the libraries' error."""
    chain = list(_causes(error))
    if any(isinstance(cause, TimeoutError | requests.Timeout) for cause in chain):
        return NO_RESPONSE_IN_TIME
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The TLS certificate is not valid: {cause.verify_message}."
        if isinstance(cause, ssl.SSLError):
            return "The TLS handshake failed."
        if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException) and cause.strerror:
            return f"The connection failed: {cause.strerror}."
    return NOT_HTTP


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
