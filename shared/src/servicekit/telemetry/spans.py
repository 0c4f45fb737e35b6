"""Create spans if traces are on; otherwise do nothing. This module does not import OpenTelemetry."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol


class Span(Protocol):
    """A piece of work in progress."""

    def rename(self, name: str) -> None: ...

    def describe(self, **attributes: str | int) -> None:
        """Add attributes; ``__`` in a name stands for the dot of OpenTelemetry's conventions."""

    def fail(self, error_type: str) -> None:
        """Mark the span as failed, with a type of error, never a message."""

    def headers(self) -> dict[str, str]:
        """Return the HTTP headers that propagate this span: ``traceparent``."""


class Tracer(Protocol):
    """The interface that servicekit.telemetry.tracing implements."""

    def request(self, method: str, *, client: str) -> AbstractContextManager[Span]: ...

    def part_of_request(self, name: str, *, kind: str, started_at: int | None) -> AbstractContextManager[Span]: ...

    def root(self, name: str) -> AbstractContextManager[Span]: ...


class _NoopSpan:
    """The span that is used while traces are off."""

    def __enter__(self) -> Span:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def rename(self, name: str) -> None:
        pass

    def describe(self, **attributes: str | int) -> None:
        pass

    def fail(self, error_type: str) -> None:
        pass

    def headers(self) -> dict[str, str]:
        return {}


_NOOP_SPAN = _NoopSpan()
_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """Create spans with this tracer from now on; with None, create none."""
    global _tracer
    _tracer = tracer


def request(method: str, *, client: str) -> AbstractContextManager[Span]:
    """Trace the block as the first span of the current request; ``client`` is the request's traceparent header."""
    return _NOOP_SPAN if _tracer is None else _tracer.request(method, client=client)


def part_of_request(
    name: str, *, kind: str = "INTERNAL", started_at: int | None = None
) -> AbstractContextManager[Span]:
    """Trace the block as a span of the current request, which another process may have served.

    ``started_at`` is the start in nanoseconds of Unix time, if that was before the block.
    """
    return _NOOP_SPAN if _tracer is None else _tracer.part_of_request(name, kind=kind, started_at=started_at)


def root(name: str) -> AbstractContextManager[Span]:
    """Trace the block as the first span of a trace that no request started; its id is the current request id."""
    return _NOOP_SPAN if _tracer is None else _tracer.root(name)
