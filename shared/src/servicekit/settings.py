"""The settings that services share; each service's settings.py chooses among them."""

import os
import re
from typing import Any

from servicekit.process import env
from servicekit.process.env import ConfigurationError
from servicekit.telemetry import configuration
from servicekit.tokens.keys import MINIMUM_SECRET_BYTES, Key

# One authentication class, access denied by default, one parser and one renderer.
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["servicekit.tokens.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["servicekit.http.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["servicekit.http.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "servicekit.http.renderers.OnlyJSON",
    "EXCEPTION_HANDLER": "servicekit.http.errors.exception_handler",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_THROTTLE_CLASSES": [],
    # No table of users is needed to verify a token, so there is no AnonymousUser either.
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "URL_FORMAT_OVERRIDE": None,
    "FORMAT_SUFFIX_KWARG": None,
}

MIDDLEWARE: list[str] = ["servicekit.http.middleware.request_log"]
if configuration.traces():
    # After the first, which sets the request id.
    MIDDLEWARE = [*MIDDLEWARE, "servicekit.http.tracing.trace_request"]

# Warnings of `manage.py check --deploy` about what the gateway does, or what a token API without cookies, forms and
# HTML does not need.
SILENCED_SYSTEM_CHECKS: list[str] = [
    "security.W001",  # SecurityMiddleware: the gateway sets these headers, on its own errors too.
    "security.W002",  # XFrameOptionsMiddleware: likewise.
    "security.W003",  # CsrfViewMiddleware: no cookie authenticates anything.
]


def public_url() -> str:
    """Return PUBLIC_URL, the scheme and host at which clients reach the API behind another proxy; often empty."""
    value = env.get("PUBLIC_URL").removesuffix("/")
    if value and not re.fullmatch(r"https?://[A-Za-z0-9._:\[\]-]{1,255}", value, re.ASCII):
        raise ConfigurationError("PUBLIC_URL", "must be a scheme and a host, such as https://tasks.example.org")
    return value


def secret_key(name: str, *, jwt_keys: tuple[Key, ...]) -> str:
    """Return the Django SECRET_KEY from the variable ``name``.

    Raises ConfigurationError if it is shorter than 32 bytes, or equals a JWT secret or another service's key that this
    process can see: a leak of one secret must not reveal another.
    """
    value = env.require(name)
    if len(value.encode()) < MINIMUM_SECRET_BYTES:
        raise ConfigurationError(name, f"has fewer than {MINIMUM_SECRET_BYTES} bytes")
    if any(key.secret == value.encode() for key in jwt_keys):
        raise ConfigurationError(name, "equals a secret in JWT_KEYS; give each its own")
    for other in sorted(os.environ):
        if other.endswith("_SECRET_KEY") and other != name and os.environ[other].strip() == value:
            raise ConfigurationError(name, f"equals {other}; give each its own")
    return value
