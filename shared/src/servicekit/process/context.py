"""The id of the current request or job, for logs and responses."""

from contextvars import ContextVar

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """Return the id of the request (or job) that this thread works on; empty outside of one."""
    return _request_id.get()


def set_request_id(value: str) -> None:
    """Set what request_id returns in this thread from now on."""
    _request_id.set(value)
