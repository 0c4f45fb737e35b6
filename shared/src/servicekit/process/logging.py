"""Logs: one line an event, a constant message and fields; JSON for machines, text for a person at a terminal."""

import io
import json
import logging
import sys
import time
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from servicekit.process import env
from servicekit.process.context import request_id

# What is no field of an event. "request" is Django's: its text has the query string, where people put secrets.
_NO_FIELDS = {*RESERVED_ATTRS, "request"}
_NO_TEXT_FIELDS = {*_NO_FIELDS, "service"}


def logging_config(service: str) -> dict[str, Any]:
    """Django's LOGGING for a service of this name; LOG_FORMAT (json, text) and LOG_LEVEL choose form and amount."""
    write_utf8()
    formatter = env.choice("LOG_FORMAT", "json", choices=("json", "text"))
    level = env.choice("LOG_LEVEL", "info", choices=("debug", "info", "warning", "error")).upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "context": {"()": ContextFilter, "service": service},
            "traceback": {"()": "django.utils.log.CallbackFilter", "callback": lambda record: bool(record.exc_info)},
        },
        "formatters": {"json": {"()": JSONFormatter}, "text": {"()": TextFormatter}},
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": formatter,
                "filters": ["context"],
            }
        },
        "root": {"handlers": ["stdout"], "level": level},
        "loggers": {
            # Django's own handlers would print a second time, for people, what goes to the root anyway.
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            # Repeats the request's own line; what is new in it is the traceback of a defect.
            "django.request": {"filters": ["traceback"]},
            # A traceback for each request that Django finds malformed: anybody could fill the log with them.
            "django.security": {"level": "CRITICAL"},
        },
    }


def write_utf8() -> None:
    """Write UTF-8 to standard output and error in every locale, and escape what has no form in it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


class ContextFilter(logging.Filter):
    """Adds the service's name and the current request's id to every record."""

    def __init__(self, *, service: str) -> None:
        super().__init__()
        self.service = service

    def filter(self, record: logging.LogRecord) -> bool:
        record.service = self.service
        record.request_id = request_id() or None
        return True


class JSONFormatter(JsonFormatter):
    """time (UTC, ISO 8601), service, level, message, request_id, then the record's own fields."""

    def __init__(self) -> None:
        super().__init__(
            "{asctime}{service}{levelname}{name}{message}{request_id}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            reserved_attrs=_NO_FIELDS,
            json_ensure_ascii=False,
            exc_info_as_array=False,
        )

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


class TextFormatter(logging.Formatter):
    """``time service message key=value …``, in local time; the level only where it says something."""

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        parts = [time.strftime("%H:%M:%S", time.localtime(record.created)), getattr(record, "service", "-")]
        parts += [record.message] if record.levelno == logging.INFO else [record.levelname, record.message]
        fields = {key: value for key, value in record.__dict__.items() if key not in _NO_TEXT_FIELDS}
        parts += [f"{key}={_shown(value)}" for key, value in fields.items() if value is not None]
        text = " ".join(parts)
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def printable(text: str) -> str:
    """The text with what a terminal would act on as escapes, such as line breaks and changes of direction."""
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)


def _shown(value: object) -> str:
    """Bare where that is unambiguous, else as a JSON string, so that a value can never look like another field."""
    text = str(value)
    bare = text.isprintable() and not any(character in ' "=' for character in text)
    if bare and text:
        return text
    return printable(json.dumps(text, ensure_ascii=False))
