"""Telemetry that no variable enables is not even imported."""

from pathlib import Path

import pytest

from support import environment
from support.commands import output_of, program, run_in_service

SECRET = "k" * 48
MODULES = {
    "auth": "auth_service.wsgi",
    "tasks": "tasks_service.wsgi",
    "scheduler": "scheduler_service.wsgi,scheduler_service.celery,jobs.tasks,webhooks.tasks,webhooks.sender,"
    "jobs.management.commands.relay,scheduler_service.beat,scheduler_service.measures,kombu.transport.redis",
}


def loaded(service: str, state: Path, **changes: str) -> list[str]:
    env = environment.for_stack(state=state, port=1, secret=SECRET, **changes)
    packages = program("any/loaded_packages")
    output = output_of(run_in_service(service, *packages, MODULES[service], "opentelemetry,sentry_sdk,django", env=env))
    # A service may also log lines.
    (line,) = [line for line in output.splitlines() if line.startswith("loaded: ")]
    return line.split()[1:]


@pytest.mark.parametrize("service", MODULES)
def test_service_loads_neither(service: str, tmp_path: Path) -> None:
    assert loaded(service, tmp_path) == ["django"]


@pytest.mark.parametrize(
    ("changes", "package"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, "opentelemetry"),
        ({"SENTRY_DSN": "http://key@127.0.0.1:9/1"}, "sentry_sdk"),
    ],
)
def test_service_loads_what_is_asked_for(changes: dict[str, str], package: str, tmp_path: Path) -> None:
    assert loaded("tasks", tmp_path, **changes) == ["django", package]
