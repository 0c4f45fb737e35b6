"""The settings of the admin, which runs as a separate process on its own port (docs/adr/0009-admin.md).

They add Django's admin to the service's settings. `manage.py` uses them too, since only they include every app that has
tables.
"""

from auth_service import settings as service
from auth_service.settings import *  # noqa: F403

INSTALLED_APPS = [
    *service.INSTALLED_APPS,
    # Without autodiscovery: only accounts/admin.py registers models, so nothing appears by accident.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    *service.MIDDLEWARE,
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "auth_service.admin_urls"
WSGI_APPLICATION = "auth_service.admin_wsgi.application"
# The admin is reached from the machine itself or through a tunnel. Any other host name would be a DNS rebinding attack.
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

# Counts attempts and limits hashing as the API does.
AUTHENTICATION_BACKENDS = ["accounts.credentials.backends.CountingBackend"]
LOGIN_URL = "admin:login"

SESSION_ENGINE = "auth_service.admin_sessions"
# Not the default sessionid: browsers send a cookie to every port of its host.
SESSION_COOKIE_NAME = "auth_admin_session"
CSRF_COOKIE_NAME = "auth_admin_csrf"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_AGE = 8 * 60 * 60
SESSION_EXPIRE_AT_BROWSER_CLOSE = True

# The same limit as the gateway's for the API.
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024

STATIC_URL = "static/"
# Serve static files from the packages: a few files for a few users need no collectstatic.
WHITENOISE_USE_FINDERS = True

SILENCED_SYSTEM_CHECKS = [
    # The admin uses plain HTTP on loopback, where browsers ignore HSTS and some ignore secure cookies as well.
    "security.W004",
    "security.W008",
    "security.W012",
    "security.W016",
]
