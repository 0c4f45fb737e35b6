"""The service's own settings, read from an environment that is set here, so that a bare `pytest` works.

This is a settings module and not a conftest.py, since pytest-django and mypy read the settings before any conftest.
"""

import os

for name in (
    "JWT_KEYS_FILE",
    "SCHEDULER_SECRET_KEY_FILE",
    "WEBHOOK_SECRET_KEY_FILE",
    "REDIS_URL_FILE",
    "REPORT_USER_ID",
    "REPORT_LIMIT",
):
    os.environ.pop(name, None)
os.environ.update(
    {
        "JWT_KEYS": "tests:only-for-the-tests-of-the-scheduler-service",
        "SCHEDULER_SECRET_KEY": "only-for-the-tests-of-the-scheduler-service-too",
        "WEBHOOK_SECRET_KEY": "only-for-the-tests-of-the-webhooks-of-the-scheduler",
        "WEBHOOK_ALLOW_PRIVATE_NETWORKS": "0",
        "REDIS_URL": "unix:///nonexistent/redis.sock",
        # The tests' runs are in a different year from the clock.
        "RUNS_KEPT_DAYS": "36500",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
    }
)
# DATABASE_URL is not set here: if it names a SQL Server, the same tests run on that. Otherwise Django's test database
# is in memory, and no file is created.

from scheduler_service.settings import *  # noqa: E402, F403
