"""The tasks service's settings. README.md and the project's .env.example list every variable that they read."""

from pathlib import Path

from servicekit import settings as shared
from servicekit.database.url import database_from_env
from servicekit.process import env
from servicekit.process.logging import logging_config
from servicekit.process.redis_client import redis_url_from_env
from servicekit.tokens.keys import keys_from_env

BASE_DIR = Path(__file__).resolve().parent.parent
STATE_DIR = Path(env.get("STATE_DIR", str(BASE_DIR.parent.parent / "var")))

JWT_KEYS = keys_from_env()
SECRET_KEY = shared.secret_key("TASKS_SECRET_KEY", jwt_keys=JWT_KEYS)
# Stores the sessions that ended before their access tokens expire.
REDIS_URL = redis_url_from_env()

# How long the log of events, which the scheduler reads within seconds, is kept.
EVENTS_KEPT_DAYS = env.integer("EVENTS_KEPT_DAYS", 30, minimum=1, maximum=36_500)

PUBLIC_URL = shared.public_url()
DEBUG = False
# No code builds a URL from the Host header, and only the gateway reaches this service.
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tasks_service.urls"
WSGI_APPLICATION = "tasks_service.wsgi.application"
# servicekit contributes its management commands.
INSTALLED_APPS = ["tasks", "servicekit"]
MIDDLEWARE = shared.MIDDLEWARE
REST_FRAMEWORK = shared.REST_FRAMEWORK
SILENCED_SYSTEM_CHECKS = shared.SILENCED_SYSTEM_CHECKS
APPEND_SLASH = False

DATABASES = {"default": database_from_env(default_path=STATE_DIR / "db.sqlite3")}
# Use only Django's persistent connections, not the ODBC driver manager's pool as well.
DATABASE_CONNECTION_POOLING = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False

LOGGING = logging_config("tasks")
