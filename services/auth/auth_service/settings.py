"""The auth service's settings. README.md and the project's .env.example list every variable that they read."""

from datetime import timedelta
from pathlib import Path

from servicekit import settings as shared
from servicekit.database.url import database_from_env
from servicekit.process import env
from servicekit.process.logging import logging_config
from servicekit.process.redis_client import redis_url_from_env
from servicekit.tokens.keys import keys_from_env
from servicekit.tokens.verifier import ALGORITHM, LIFETIME_SECONDS

BASE_DIR = Path(__file__).resolve().parent.parent
STATE_DIR = Path(env.get("STATE_DIR", str(BASE_DIR.parent.parent / "var")))

JWT_KEYS = keys_from_env()
SECRET_KEY = shared.secret_key("AUTH_SECRET_KEY", jwt_keys=JWT_KEYS)
# Through it the other services learn which sessions ended before their access tokens expired.
REDIS_URL = redis_url_from_env()

DEBUG = False
# No code builds a URL from the Host header, and only the gateway reaches this service.
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "auth_service.urls"
WSGI_APPLICATION = "auth_service.wsgi.application"
# simplejwt requires the first two; servicekit provides management commands. admin_settings.py adds more apps.
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "accounts", "servicekit"]
MIDDLEWARE = shared.MIDDLEWARE
REST_FRAMEWORK = {
    **shared.REST_FRAMEWORK,
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.sessions.authentication.SessionAuthentication"],
}
SILENCED_SYSTEM_CHECKS = shared.SILENCED_SYSTEM_CHECKS
APPEND_SLASH = False

DATABASES = {"default": database_from_env(default_path=STATE_DIR / "db.sqlite3")}
DATABASE_ROUTERS = ["accounts.routers.NoGroupTables"]
# Django's own migrations alter columns, which not every server supports (docs/adr/0009-admin.md). The app auth gets no
# tables.
MIGRATION_MODULES = {
    "auth": None,
    "contenttypes": "accounts.contrib_migrations.contenttypes",
    "admin": "accounts.contrib_migrations.admin",
}
# Use only Django's persistent connections, not the ODBC driver manager's pool as well.
DATABASE_CONNECTION_POOLING = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
# The first creates new hashes; hashes of the others are accepted and replaced at the next login.
PASSWORD_HASHERS = [
    "accounts.users.hashers.Argon2idHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
SHORTEST_PASSWORD = 8
# How many threads of a process may hash a password or wait to: a flood of logins leaves a third of them free.
PASSWORD_THREADS = max(1, env.integer("AUTH_WEB_THREADS", 12, minimum=1, maximum=1000) * 2 // 3)
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": SHORTEST_PASSWORD},
    },
    {"NAME": "accounts.users.validators.MaximumLengthValidator"},
    {"NAME": "accounts.users.validators.VisibleValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "email")},
    },
    {"NAME": "accounts.users.validators.OwnNameValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

SIMPLE_JWT = {
    "ALGORITHM": ALGORITHM,
    # Override the default, which is SECRET_KEY. accounts.sessions.tokens signs the tokens and names the key.
    "SIGNING_KEY": JWT_KEYS[0].secret,
    "ACCESS_TOKEN_LIFETIME": timedelta(seconds=LIFETIME_SECONDS["access"]),
    "REFRESH_TOKEN_LIFETIME": timedelta(seconds=LIFETIME_SECONDS["refresh"]),
}

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False

LOGGING = logging_config("auth")
