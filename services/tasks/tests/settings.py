"""The service's own settings, from an environment that the tests set, so that a bare `pytest` works.

This is a settings module, not a conftest.py, since pytest-django and mypy read the settings before any conftest.
"""

import os

for name in ("JWT_KEYS_FILE", "TASKS_SECRET_KEY_FILE"):
    os.environ.pop(name, None)
os.environ.update(
    {
        "JWT_KEYS": "tests:only-for-the-tests-of-the-tasks-service",
        "TASKS_SECRET_KEY": "only-for-the-tests-of-the-tasks-service-too",
        "REDIS_URL": "unix:///nonexistent/redis.sock",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
    }
)
# DATABASE_URL is left unchanged: if it names a SQL Server, the same tests run there. Otherwise Django's test database
# is in memory, and no file is created.

from tasks_service.settings import *  # noqa: E402, F403
