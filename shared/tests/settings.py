"""Django's settings for the tests of the shared package: those of a service, without a service."""

from servicekit import settings as shared
from servicekit.tokens.keys import Key

# Of 64 bytes, so that PyJWT can also sign with HS512, which no service may accept.
JWT_KEYS = (Key("new", b"n" * 64), Key("old", b"o" * 64))
SECRET_KEY = "s" * 32
REDIS_URL = "unix:///nonexistent/redis.sock"

ROOT_URLCONF = "tests.urls"
MIDDLEWARE = shared.MIDDLEWARE
REST_FRAMEWORK = shared.REST_FRAMEWORK
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["servicekit"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
USE_I18N = False
