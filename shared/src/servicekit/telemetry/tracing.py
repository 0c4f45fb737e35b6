"""Traces by OpenTelemetry, sent by OTLP to OTEL_EXPORTER_OTLP_ENDPOINT (docs/adr/0036).

A request's id is the id of its trace, and the second half of it that of the trace's first span. So whatever knows the
request's id, such as the log of events, knows where in which trace it belongs.
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

# For all tries of one batch of 512 spans. A process that stops gives up after the first that fails.
EXPORT_SECONDS = 2.0
# OpenTelemetry's names of the databases that Django names otherwise.
SYSTEMS = {"microsoft": "microsoft.sql_server"}

_REQUEST_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TABLE = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM|FROM)\s+[\[\"]?(\w+)", re.IGNORECASE)
# The id of the span that is about to begin, where it must not be random.
_next_span_id: ContextVar[int] = ContextVar("next_span_id", default=0)
_propagator = TraceContextTextMapPropagator()

logger = logging.getLogger("servicekit.telemetry")


def start(part: str, configuration: Traces) -> Callable[[], None]:
    """Trace this process from now on, under the name of its part; return what sends the last spans."""
    # Of each failed try, in words of its own; LoggingExporter tells when an outage begins and ends.
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
    """Return what decides which traces are made."""
    name = configuration.sampler.removeprefix("parentbased_")
    chosen = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}.get(name) or TraceIdRatioBased(configuration.share)
    return chosen if name == configuration.sampler else ParentBased(chosen)


def use(provider: TracerProvider) -> None:
    """Make spans by this provider, also of the statements of every connection that is opened from now on."""
    tracer = _Tracer(provider)
    spans.use(tracer)
    connection_created.connect(tracer.add_wrapper, dispatch_uid="servicekit.telemetry.tracing", weak=False)


class Ids(RandomIdGenerator):
    """Ids by the current request, where there is one."""

    def generate_trace_id(self) -> int:
        return _number(request_id()) or super().generate_trace_id()

    def generate_span_id(self) -> int:
        return _next_span_id.get() or super().generate_span_id()


class _Span:
    """servicekit.telemetry.spans.Span, by OpenTelemetry's."""

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
    """servicekit.telemetry.spans.Tracer, by OpenTelemetry's."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("servicekit")

    @contextmanager
    def request(self, method: str, *, client: str) -> Iterator[spans.Span]:
        # What reaches the gateway is anybody's: its trace is linked and not continued.
        context = trace.get_current_span(_propagator.extract({"traceparent": client})).get_span_context()
        links = [trace.Link(context)] if context.is_valid else []
        # Only its beginning gets the id, not the spans below it.
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
        # The texts of exceptions may hold what a user wrote.
        with trace.use_span(begun, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            span = _Span(begun)
            try:
                yield span
            except BaseException as error:
                span.fail(type(error).__name__)
                raise

    def _parent(self) -> Context | None:
        """Return the context of the current request's first span; None, which is the current span, if there is one."""
        number = _number(request_id())
        if trace.get_current_span().get_span_context().is_valid or not number:
            return None
        # As the process decided that made it: samplers go by the trace's id.
        sampled = self._provider.sampler.should_sample(None, number, "").decision is Decision.RECORD_AND_SAMPLE
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else trace.TraceFlags.DEFAULT)
        first = trace.SpanContext(number, _span_number(request_id()), is_remote=True, trace_flags=flags)
        return trace.set_span_in_context(trace.NonRecordingSpan(first))

    def add_wrapper(self, *, connection: BaseDatabaseWrapper, **_: Any) -> None:
        # The list outlives a connection that is closed and opened again.
        if self._statement not in connection.execute_wrappers:
            connection.execute_wrappers.append(self._statement)

    def _statement(self, execute: Callable[..., Any], sql: str, params: Any, many: Any, context: Any) -> Any:
        """Make a span of a statement, without its values, where a span is in progress: not in loops and probes."""
        if not trace.get_current_span().is_recording():
            return execute(sql, params, many, context)
        vendor = context["connection"].vendor
        begun = self._tracer.start_span(summary(sql), kind=trace.SpanKind.CLIENT)
        with self._in_progress(begun) as span:
            span.describe(db__system__name=SYSTEMS.get(vendor, vendor), db__query__text=" ".join(sql.split()))
            return execute(sql, params, many, context)


class LoggingExporter(SpanExporter):
    """The exporter, with a line when an outage of the receiver begins and one when it ends."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._fails = False
        self._gives_up = False

    def give_up_after_a_failure(self) -> None:
        """From now on, try nothing more once a batch has failed: the process is about to stop."""
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
    """Return what a statement does and to which table first: ``INSERT tasks_task``."""
    found = _TABLE.search(sql)
    if found is None:
        return sql.split(maxsplit=1)[0].upper()
    operation = "SELECT" if found[1].upper() == "FROM" else found[1].split()[0].upper()
    return f"{operation} {found[2]}"


def _number(identifier: str) -> int:
    """Return the id as a number; 0, which no trace has, for anything else."""
    return int(identifier, 16) if _REQUEST_ID.fullmatch(identifier) else 0


def _span_number(identifier: str) -> int:
    return _number(identifier) & 0xFFFF_FFFF_FFFF_FFFF
