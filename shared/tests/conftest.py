"""Fixtures that several test modules use."""

import io
import json
import logging
import logging.config
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from servicekit.http import health
from servicekit.http.outages import outages
from servicekit.process.logging import logging_config


@pytest.fixture(autouse=True)
def reset_failures() -> None:
    """As in servicekit.pytest_plugin."""
    outages.forget()
    health.failing.clear()


@pytest.fixture
def client() -> Client:
    """A client that gets the response to an unexpected error, as real clients do, not the exception."""
    return Client(raise_request_exception=False)


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the variables that the package reads, even if the shell sets them."""
    for name in ("JWT_KEYS", "DATABASE_URL", "LOG_FORMAT", "LOG_LEVEL", "SOME_SECRET_KEY", "OTHER_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


@pytest.fixture
def log_format() -> str:
    """The LOG_FORMAT of the log fixture; a test can override it by parametrizing this name."""
    return "json"


@pytest.fixture
def log(log_format: str, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """Set up the logging of a service called "example"; the value returns the lines written so far."""
    monkeypatch.setenv("LOG_FORMAT", log_format)
    stream = io.StringIO()
    config = logging_config("example")
    # Not sys.stdout, which pytest replaces between a fixture and its test.
    config["handlers"]["stdout"]["stream"] = stream
    loggers = [logging.getLogger(name) for name in (None, "django", "django.request", "django.server")]
    before = [(logger, logger.handlers[:], logger.filters[:], logger.level, logger.propagate) for logger in loggers]
    logging.config.dictConfig(config)
    yield lambda: stream.getvalue().splitlines()
    for logger, handlers, filters, level, propagate in before:
        logger.handlers, logger.filters, logger.propagate = handlers, filters, propagate
        logger.setLevel(level)


@pytest.fixture
def records(log: Callable[[], list[str]]) -> Callable[[], list[dict[str, Any]]]:
    """Like log, with each line parsed as JSON."""
    return lambda: [json.loads(line) for line in log()]
