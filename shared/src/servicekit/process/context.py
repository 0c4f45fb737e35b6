"""What the current request or job is called, for logs and answers."""

from contextvars import ContextVar

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """The id of the request (or job) that this thread works on; empty outside of one."""
    return _request_id.get()


def set_request_id(value: str) -> None:
    """Sets what request_id returns from here on in this thread."""
    _request_id.set(value)
