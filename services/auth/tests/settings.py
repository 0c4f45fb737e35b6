"""The service's own settings, read from an environment that the tests make, so that a bare `pytest` works.

This is a settings module and no conftest.py, since pytest-django and mypy read the settings before any conftest.
"""

import os
import tempfile

for name in ("JWT_KEYS_FILE", "AUTH_SECRET_KEY_FILE"):
    os.environ.pop(name, None)
os.environ.update(
    {
        "JWT_KEYS": "current:only-for-the-tests-of-the-auth-service,previous:and-one-that-was-the-first-until-lately",
        "AUTH_SECRET_KEY": "only-for-the-tests-of-the-auth-service-too",
        "REDIS_URL": "unix:///nonexistent/redis.sock",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
    }
)
# DATABASE_URL is left as it is: the same tests run on SQL Server where it names one.

from auth_service.admin_settings import *  # noqa: E402, F403
from auth_service.settings import ALLOWED_HOSTS, DATABASES, MIDDLEWARE, ROOT_URLCONF  # noqa: E402, F401

if DATABASES["default"]["ENGINE"] == "servicekit.database.sqlite":
    # A file, as in a run: a database in memory knows nothing of the locks that some tests are about.
    DATABASES["default"]["TEST"] = {"NAME": f"{tempfile.mkdtemp(prefix='auth-tests-')}/db.sqlite3"}
