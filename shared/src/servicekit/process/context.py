"""The id of the current request or job, for logs and responses."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """Return the id of the request (or job) that this thread is processing; empty outside one."""
    return _request_id.get()


def set_request_id(value: str) -> None:
    """Set the result of request_id() in this thread from now on."""
    _request_id.set(value)


@contextlib.contextmanager
def as_request(value: str) -> Iterator[None]:
    """Set the result of request_id() in the block, for a process that serves many requests in one pass."""
    token = _request_id.set(value)
    try:
        yield
    finally:
        _request_id.reset(token)
