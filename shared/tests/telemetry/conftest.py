from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.backends.signals import connection_created
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler

from servicekit.process.context import request_id, set_request_id
from servicekit.telemetry import spans, tracing


class Recorded:
    """The ended spans, by name."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def __getitem__(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.all() if span.name == name]
        return span

    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def text(self) -> str:
        """Return everything that would be sent."""
        return "".join(span.to_json() for span in self.all())


@pytest.fixture
def sampler() -> Sampler:
    return ParentBased(ALWAYS_ON)


@pytest.fixture
def recorded(sampler: Sampler) -> Iterator[Recorded]:
    """Turn traces on, and keep their spans here."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, id_generator=tracing.Ids(), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    before, wrappers = request_id(), connection.execute_wrappers[:]
    tracing.use(provider)
    yield Recorded(exporter)
    spans.use(None)
    connection_created.disconnect(dispatch_uid="servicekit.telemetry.tracing")
    connection.execute_wrappers[:] = wrappers
    set_request_id(before)
