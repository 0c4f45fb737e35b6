"""The service's own settings, read from an environment that is set here, so that a bare `pytest` works.

This is a settings module and not a conftest.py, since pytest-django and mypy read the settings before any conftest.
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
# DATABASE_URL is not set here: if it names a SQL Server, the same tests run on that.

from auth_service.admin_settings import *  # noqa: E402, F403
from auth_service.settings import ALLOWED_HOSTS, DATABASES, MIDDLEWARE, ROOT_URLCONF  # noqa: E402, F401

if DATABASES["default"]["ENGINE"] == "servicekit.database.sqlite":
    # A file, as in production: an in-memory database lacks the locks that some tests are about.
    DATABASES["default"]["TEST"] = {"NAME": f"{tempfile.mkdtemp(prefix='auth-tests-')}/db.sqlite3"}
