"""A misconfigured service does not start, and reports in one line what to correct."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

from tests.conftest import ROOT

GOOD = {"JWT_KEYS": f"k1:{'j' * 32}", "TASKS_SECRET_KEY": "s" * 32, "REDIS_URL": "redis://localhost"}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"JWT_KEYS": ""}, "JWT_KEYS: is not set; see .env.example"),
        ({"JWT_KEYS": "k1:short"}, "JWT_KEYS: the secret of key 1 has fewer than 32 bytes"),
        ({"TASKS_SECRET_KEY": ""}, "TASKS_SECRET_KEY: is not set; see .env.example"),
        ({"TASKS_SECRET_KEY": "j" * 32}, "TASKS_SECRET_KEY: equals a secret in JWT_KEYS; give each its own"),
        ({"AUTH_SECRET_KEY": "s" * 32}, "TASKS_SECRET_KEY: equals AUTH_SECRET_KEY; give each its own"),
        ({"REDIS_URL": ""}, "REDIS_URL: is not set; see .env.example"),
        (
            {"REDIS_URL": "localhost:6379"},
            "REDIS_URL: must be redis://…, rediss://…, unix:///path or redis+sentinel://host,host/master",
        ),
        ({"DATABASE_URL": "mysql://db"}, "DATABASE_URL: must start with mssql:// or sqlite://"),
        ({"EVENTS_KEPT_DAYS": "0"}, "EVENTS_KEPT_DAYS: must be a whole number from 1 to 36500"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL: must be one of debug, info, warning, error"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_variable_stops_the_start_and_names_itself(changes, line):
    process = subprocess.run(
        [sys.executable, "-c", "import tasks_service.wsgi"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "tasks_service.settings", **GOOD, **changes},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (process.returncode, process.stderr) == (1, f"{line}\n")


def test_good_variables_start_it(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", "from tasks_service.wsgi import application"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "STATE_DIR": str(tmp_path), **GOOD},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (process.returncode, process.stderr) == (0, "")


def test_service_takes_no_more_middleware_than_it_needs():
    assert settings.MIDDLEWARE == ["servicekit.http.middleware.request_log"]
    assert settings.DEBUG is False
