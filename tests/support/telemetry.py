"""Receivers of traces and of error reports: servers on this machine that store what they receive."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtocolSpan

Server = TypeVar("Server", bound=ThreadingHTTPServer)


@dataclass(frozen=True)
class Span:
    """A span as received; the ids are hexadecimal, and the parent's may be empty."""

    part: str
    name: str
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    attributes: dict[str, str | int]

    @classmethod
    def of(cls, span: ProtocolSpan, *, part: str) -> "Span":
        ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
        links = tuple(link.trace_id.hex() for link in span.links)
        attributes = {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
        return cls(part, span.name, *ids, links, attributes)


class Collector(ThreadingHTTPServer):
    """Accepts OTLP over HTTP."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _CollectorHandler)
        self.spans: list[Span] = []
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def of_trace(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace == trace]

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [Span.of(span, part=names["service.name"]) for span in scope.spans]


class ReportReceiver(ThreadingHTTPServer):
    """Accepts Sentry's envelopes (https://develop.sentry.dev/sdk/data-model/envelopes/)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ReportHandler)
        self.envelopes: list[bytes] = []

    @property
    def dsn(self) -> str:
        return f"http://key@127.0.0.1:{self.server_address[1]}/1"

    @property
    def reports(self) -> list[dict[str, Any]]:
        return [json.loads(envelope.splitlines()[2]) for envelope in self.envelopes]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self) -> bytes:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        return gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body

    def respond(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


class _CollectorHandler(_Handler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        self.server.take(self.body())
        self.respond()


class _ReportHandler(_Handler):
    server: ReportReceiver

    def do_POST(self) -> None:
        self.server.envelopes.append(self.body())
        self.respond()


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Run a receiver until the end of the block."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
