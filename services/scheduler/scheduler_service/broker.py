"""Convert REDIS_URL from redis-py's form to kombu's, for Celery."""

from urllib.parse import parse_qsl, urlsplit

from servicekit.process.env import ConfigurationError

VARIABLE = "REDIS_URL"


def broker_url(redis_url: str) -> str:
    """Return kombu's form of ``redis://``, ``rediss://`` or ``unix://[user:password@]/path[?db=number]``.

    The two agree on TCP. For a socket kombu has its own scheme, and calls the database a virtual host. Raises
    ConfigurationError, which never shows the password.
    """
    try:
        parts = urlsplit(redis_url)
        _ = parts.port
    except ValueError:
        raise ConfigurationError(VARIABLE, "cannot be parsed: the host or port is malformed") from None
    if parts.scheme in ("redis", "rediss"):
        return redis_url
    if parts.scheme != "unix":
        raise ConfigurationError(VARIABLE, "must start with redis://, rediss:// or unix://")
    if parts.hostname or len(parts.path) < 2:
        raise ConfigurationError(VARIABLE, "a socket's path must be absolute: unix:///path/to/redis.sock")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    database = options.pop("db", "0")
    if options or parts.fragment or not database.isdecimal():
        # Do not name it: it may be part of a password that was not percent-encoded.
        raise ConfigurationError(VARIABLE, "has an unknown option; a socket has one, db=number")
    return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={database}"
