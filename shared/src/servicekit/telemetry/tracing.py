"""OpenTelemetry traces, sent by OTLP to OTEL_EXPORTER_OTLP_ENDPOINT (docs/adr/0036).

A request's id is also its trace id, and the second half of it is the id of the trace's first span. Anything that stores
the request id, such as the log of events, can thus be placed in the trace.
"""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from servicekit.process.context import request_id
from servicekit.telemetry import spans
from servicekit.telemetry.configuration import Traces

# For all attempts to send one batch of 512 spans. A process that is stopping gives up after the first batch that fails.
EXPORT_SECONDS = 2.0
# OpenTelemetry's names for databases that Django names differently.
SYSTEMS = {"microsoft": "microsoft.sql_server"}

_REQUEST_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TABLE = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM|FROM)\s+[\[\"]?(\w+)", re.IGNORECASE)
# The id of the next span, if it must not be random; otherwise 0.
_next_span_id: ContextVar[int] = ContextVar("next_span_id", default=0)
_propagator = TraceContextTextMapPropagator()

logger = logging.getLogger("servicekit.telemetry")


def start(part: str, configuration: Traces) -> Callable[[], None]:
    """Start tracing this process under the name of its part; return a function that sends the remaining spans."""
    # OpenTelemetry logs each failed attempt; LoggingExporter logs only the start and end of an outage.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    provider = TracerProvider(
        sampler=sampler(configuration),
        resource=Resource.create({"service.name": part, "service.namespace": "task-api"}),
        id_generator=Ids(),
        shutdown_on_exit=False,
    )
    exporter = LoggingExporter(OTLPSpanExporter(endpoint=configuration.url, timeout=EXPORT_SECONDS))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    use(provider)

    def stop() -> None:
        exporter.give_up_after_a_failure()
        provider.shutdown()

    return stop


def sampler(configuration: Traces) -> Sampler:
    """Return the configured sampler."""
    name = configuration.sampler.removeprefix("parentbased_")
    chosen = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}.get(name) or TraceIdRatioBased(configuration.share)
    return chosen if name == configuration.sampler else ParentBased(chosen)


def use(provider: TracerProvider) -> None:
    """Create spans with this provider, including spans of statements on connections that are opened from now on."""
    tracer = _Tracer(provider)
    spans.use(tracer)
    connection_created.connect(tracer.add_wrapper, dispatch_uid="servicekit.telemetry.tracing", weak=False)


class Ids(RandomIdGenerator):
    """Generates ids from the current request's id; random ones outside a request."""

    def generate_trace_id(self) -> int:
        return _number(request_id()) or super().generate_trace_id()

    def generate_span_id(self) -> int:
        return _next_span_id.get() or super().generate_span_id()


class _Span:
    """Implements servicekit.telemetry.spans.Span with a span of OpenTelemetry."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def describe(self, **attributes: str | int) -> None:
        self._span.set_attributes({name.replace("__", "."): value for name, value in attributes.items()})

    def fail(self, error_type: str) -> None:
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(trace.StatusCode.ERROR)

    def headers(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, trace.set_span_in_context(self._span))
        return carrier


class _Tracer:
    """Implements servicekit.telemetry.spans.Tracer with a tracer of OpenTelemetry."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("servicekit")

    @contextmanager
    def request(self, method: str, *, client: str) -> Iterator[spans.Span]:
        # The client's header is not trusted: its trace is linked, not continued.
        context = trace.get_current_span(_propagator.extract({"traceparent": client})).get_span_context()
        links = [trace.Link(context)] if context.is_valid else []
        # Only this span gets the id, not the spans below it.
        token = _next_span_id.set(_span_number(request_id()))
        try:
            begun = self._tracer.start_span(method, Context(), trace.SpanKind.SERVER, links=links)
        finally:
            _next_span_id.reset(token)
        with self._in_progress(begun) as span:
            yield span

    @contextmanager
    def part_of_request(self, name: str, *, kind: str, started_at: int | None) -> Iterator[spans.Span]:
        begun = self._tracer.start_span(name, self._parent(), trace.SpanKind[kind], start_time=started_at)
        with self._in_progress(begun) as span:
            yield span

    @contextmanager
    def root(self, name: str) -> Iterator[spans.Span]:
        with self._in_progress(self._tracer.start_span(name, Context())) as span:
            yield span

    @contextmanager
    def _in_progress(self, begun: trace.Span) -> Iterator[spans.Span]:
        # Exception messages may contain user input.
        with trace.use_span(begun, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            span = _Span(begun)
            try:
                yield span
            except BaseException as error:
                span.fail(type(error).__name__)
                raise

    def _parent(self) -> Context | None:
        """Return the context of the current request's first span, or None for the current context.

        None means that a span is in progress, or that there is no request.
        """
        number = _number(request_id())
        if trace.get_current_span().get_span_context().is_valid or not number:
            return None
        # The decision of the process that created the span: samplers depend only on the trace id.
        sampled = self._provider.sampler.should_sample(None, number, "").decision is Decision.RECORD_AND_SAMPLE
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else trace.TraceFlags.DEFAULT)
        first = trace.SpanContext(number, _span_number(request_id()), is_remote=True, trace_flags=flags)
        return trace.set_span_in_context(trace.NonRecordingSpan(first))

    def add_wrapper(self, *, connection: BaseDatabaseWrapper, **_: Any) -> None:
        # The list survives closing and reopening the connection.
        if self._statement not in connection.execute_wrappers:
            connection.execute_wrappers.append(self._statement)

    def _statement(self, execute: Callable[..., Any], sql: str, params: Any, many: Any, context: Any) -> Any:
        """Create a span for a statement, without its values, if a span is in progress: not in loops and probes."""
        if not trace.get_current_span().is_recording():
            return execute(sql, params, many, context)
        vendor = context["connection"].vendor
        begun = self._tracer.start_span(summary(sql), kind=trace.SpanKind.CLIENT)
        with self._in_progress(begun) as span:
            span.describe(db__system__name=SYSTEMS.get(vendor, vendor), db__query__text=" ".join(sql.split()))
            return execute(sql, params, many, context)


class LoggingExporter(SpanExporter):
    """Wraps an exporter, and logs when an outage of the receiver starts and when it ends."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._fails = False
        self._gives_up = False

    def give_up_after_a_failure(self) -> None:
        """Export nothing more once a batch has failed, since the process is about to stop."""
        self._gives_up = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._gives_up and self._fails:
            return SpanExportResult.FAILURE
        result = self._exporter.export(spans)
        fails = result is not SpanExportResult.SUCCESS
        if fails and not self._fails:
            logger.warning("spans not exported")
        if self._fails and not fails:
            logger.info("spans exported again")
        self._fails = fails
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def summary(sql: str) -> str:
    """Return a statement's operation and its first table: ``INSERT tasks_task``."""
    found = _TABLE.search(sql)
    if found is None:
        return sql.split(maxsplit=1)[0].upper()
    operation = "SELECT" if found[1].upper() == "FROM" else found[1].split()[0].upper()
    return f"{operation} {found[2]}"


def _number(identifier: str) -> int:
    """Return a request id as a number; for anything else 0, which is not a valid trace id."""
    return int(identifier, 16) if _REQUEST_ID.fullmatch(identifier) else 0


def _span_number(identifier: str) -> int:
    return _number(identifier) & 0xFFFF_FFFF_FFFF_FFFF
