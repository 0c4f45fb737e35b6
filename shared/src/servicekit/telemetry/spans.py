"""Make spans where traces are on, and nothing where they are off. This module imports nothing of OpenTelemetry."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol


class Span(Protocol):
    """A piece of work in progress."""

    def rename(self, name: str) -> None: ...

    def describe(self, **attributes: str | int) -> None:
        """Add attributes; ``__`` in a name stands for the dot of OpenTelemetry's conventions."""

    def fail(self, error_type: str) -> None:
        """Mark it as failed, by a class of error and never its text."""

    def headers(self) -> dict[str, str]:
        """Return what tells a receiver of this span: ``traceparent``."""


class Tracer(Protocol):
    """What servicekit.telemetry.tracing provides."""

    def request(self, method: str, *, client: str) -> AbstractContextManager[Span]: ...

    def part_of_request(self, name: str, *, kind: str, started_at: int | None) -> AbstractContextManager[Span]: ...

    def root(self, name: str) -> AbstractContextManager[Span]: ...


class _Nothing:
    """The span where traces are off."""

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


_NOTHING = _Nothing()
_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """Make spans by this tracer from now on, or none."""
    global _tracer
    _tracer = tracer


def request(method: str, *, client: str) -> AbstractContextManager[Span]:
    """Make the block the first span of the current request's trace; ``client`` is the traceparent that came with it."""
    return _NOTHING if _tracer is None else _tracer.request(method, client=client)


def part_of_request(
    name: str, *, kind: str = "INTERNAL", started_at: int | None = None
) -> AbstractContextManager[Span]:
    """Make the block a span below that of the current request, which another process may have served.

    ``started_at`` is when it began, in nanoseconds of Unix time, if that was before the block.
    """
    return _NOTHING if _tracer is None else _tracer.part_of_request(name, kind=kind, started_at=started_at)


def root(name: str) -> AbstractContextManager[Span]:
    """Make the block the first span of a trace that no request began; its id is the current request id."""
    return _NOTHING if _tracer is None else _tracer.root(name)
