"""A misconfigured service does not start, and names the problem in one line."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

from tests.conftest import ROOT

GOOD = {
    "JWT_KEYS": f"k1:{'j' * 32}",
    "SCHEDULER_SECRET_KEY": "s" * 32,
    "WEBHOOK_SECRET_KEY": "w" * 32,
    "REDIS_URL": "redis://localhost",
}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"JWT_KEYS": ""}, "JWT_KEYS: is not set; see .env.example"),
        ({"JWT_KEYS": "k1:short"}, "JWT_KEYS: the secret of key 1 has fewer than 32 bytes"),
        ({"SCHEDULER_SECRET_KEY": ""}, "SCHEDULER_SECRET_KEY: is not set; see .env.example"),
        ({"SCHEDULER_SECRET_KEY": "j" * 32}, "SCHEDULER_SECRET_KEY: equals a secret in JWT_KEYS; give each its own"),
        ({"AUTH_SECRET_KEY": "s" * 32}, "SCHEDULER_SECRET_KEY: equals AUTH_SECRET_KEY; give each its own"),
        ({"WEBHOOK_SECRET_KEY": ""}, "WEBHOOK_SECRET_KEY: is not set; see .env.example"),
        ({"WEBHOOK_SECRET_KEY": f"{'w' * 32},short"}, "WEBHOOK_SECRET_KEY: has a key of fewer than 32 bytes"),
        (
            {"WEBHOOK_SECRET_KEY": f"{'w' * 32},{'j' * 32}"},
            "WEBHOOK_SECRET_KEY: equals a secret in JWT_KEYS; give each its own",
        ),
        (
            {"WEBHOOK_SECRET_KEY": f"{'w' * 32},{'s' * 32}"},
            "WEBHOOK_SECRET_KEY: equals SCHEDULER_SECRET_KEY; give each its own",
        ),
        ({"WEBHOOK_DELIVERIES_KEPT_DAYS": "1"}, "WEBHOOK_DELIVERIES_KEPT_DAYS: must be a whole number from 2 to 36500"),
        ({"WEBHOOK_ALLOW_PRIVATE_NETWORKS": "yes"}, "WEBHOOK_ALLOW_PRIVATE_NETWORKS: must be one of 0, 1"),
        ({"DATABASE_URL": "mysql://db"}, "DATABASE_URL: must start with mssql:// or sqlite://"),
        ({"REDIS_URL": ""}, "REDIS_URL: is not set; see .env.example"),
        ({"REDIS_URL": "localhost"}, "REDIS_URL: must start with redis://, rediss://, unix:// or redis+sentinel://"),
        ({"RUNS_KEPT_DAYS": "0"}, "RUNS_KEPT_DAYS: must be a whole number from 1 to 36500"),
        ({"REPORT_LIMIT": "-1"}, "REPORT_LIMIT: must be a whole number from 0 to 2147483647"),
        ({"REPORT_USER_ID": "0"}, "REPORT_USER_ID: must be a whole number from 1 to 9223372036854775807"),
        (
            {"REPORT_USER_ID": "9223372036854775808"},
            "REPORT_USER_ID: must be a whole number from 1 to 9223372036854775807",
        ),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL: must be one of debug, info, warning, error"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_variable_stops_the_start_and_names_itself(changes, line):
    process = subprocess.run(
        [sys.executable, "-c", "import scheduler_service.wsgi"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "scheduler_service.settings", **GOOD, **changes},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (process.returncode, process.stderr) == (1, f"{line}\n")


def test_good_variables_start_it(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", "from scheduler_service.wsgi import application"],
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
