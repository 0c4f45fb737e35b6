"""Logs: one line per event, with a constant message and fields; JSON for machines, text for a person at a terminal.

The formatter is our own: a line costs a third of what python-json-logger's does (docs/performance.md).
"""

import datetime
import io
import json
import logging
import sys
import time
from typing import Any

import orjson

from servicekit.process import env
from servicekit.process.context import request_id

# The attributes of every record, which are not fields of an event. "request" is Django's: its text contains the query
# string, where people put secrets. "taskName" is Python 3.12's.
_NO_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "request"}

# No line contains these, but each would take longer (https://docs.python.org/3/howto/logging.html#optimization).
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
logging.logAsyncioTasks = False  # type: ignore[attr-defined]  # since Python 3.12
logging._srcfile = None


def logging_config(service: str) -> dict[str, Any]:
    """Return Django's LOGGING for the named service, with the format (json, text) of LOG_FORMAT and level of LOG_LEVEL.

    Standard output and error become UTF-8 in every locale.
    """
    write_utf8()
    formatter = env.choice("LOG_FORMAT", "json", choices=("json", "text"))
    level = env.choice("LOG_LEVEL", "info", choices=("debug", "info", "warning", "error")).upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "traceback": {"()": "django.utils.log.CallbackFilter", "callback": lambda record: bool(record.exc_info)},
        },
        "formatters": {
            "json": {"()": JSONFormatter, "service": service},
            "text": {"()": TextFormatter, "service": service},
        },
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": formatter,
            }
        },
        "root": {"handlers": ["stdout"], "level": level},
        "loggers": {
            # Django's own handlers would print again what the root logger prints.
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            # Repeats the request's own line; only the traceback of an unexpected error is new.
            "django.request": {"filters": ["traceback"]},
            # A traceback for each request that Django rejects as malformed: any client could fill the log with them.
            "django.security": {"level": "CRITICAL"},
        },
    }


def write_utf8() -> None:
    """Make standard output and error UTF-8 in every locale, and escape what UTF-8 cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


class _Formatter(logging.Formatter):
    def __init__(self, *, service: str) -> None:
        super().__init__()
        self.service = service


class JSONFormatter(_Formatter):
    """Write time (UTC, ISO 8601), service, level, logger, message, request_id, then the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        event = {
            "time": f"{at.isoformat(timespec='milliseconds')[:-6]}Z",
            "service": self.service,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id() or None,
            **_fields(record),
        }
        if record.exc_info:
            event["exc_info"] = self.formatException(record.exc_info)
        return printable(_encode(event))


class TextFormatter(_Formatter):
    """Write ``time service message key=value …``, in local time; the level only if it is not INFO."""

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        parts = [time.strftime("%H:%M:%S", time.localtime(record.created)), self.service]
        parts += [record.message] if record.levelno == logging.INFO else [record.levelname, record.message]
        fields = _fields(record) | {"request_id": request_id() or None}
        parts += [f"{key}={_shown(value)}" for key, value in fields.items() if value is not None]
        text = " ".join(parts)
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def printable(text: str) -> str:
    """Escape, as JSON does, what a terminal or log viewer interprets: line breaks, controls, direction overrides."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)


def _encode(event: dict[str, Any]) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except TypeError:
        # A lone surrogate, or a number beyond 64 bits. No value may keep a line out of the log.
        return json.dumps(event, ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in record.__dict__.items() if key not in _NO_FIELDS}


def _shown(value: object) -> str:
    """Return the value bare if that is unambiguous, else as a JSON string, so that it never looks like a field."""
    text = str(value)
    if text and text.isprintable() and not any(character in text for character in ' "='):
        return text
    return printable(json.dumps(text, ensure_ascii=False))
