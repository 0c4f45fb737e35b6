"""The conversion of REDIS_URL to kombu's format, for Celery."""

from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from servicekit.process.env import ConfigurationError
from servicekit.process.redis_url import Sentinels, sentinels_of, tls_options

VARIABLE = "REDIS_URL"


def broker_url(redis_url: str) -> str:
    """Return kombu's form of a URL in the format of servicekit.process.redis_url.

    The two are the same for plain TCP. With TLS, kombu verifies no certificate unless the URL requires it. It has its
    own scheme for sockets, in which the database is a virtual host, and requires a URL for each Sentinel. Raises
    ConfigurationError, whose message never contains the password.
    """
    try:
        if sentinels := sentinels_of(redis_url):
            return _sentinel_urls(sentinels)
        parts = urlsplit(redis_url)
        _ = parts.port
    except ValueError:
        raise ConfigurationError(VARIABLE, "cannot be parsed: the host or port is malformed") from None
    if parts.scheme == "redis":
        return redis_url
    if parts.scheme == "rediss":
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        return parts._replace(query=urlencode(options | tls_options(options))).geturl()
    if parts.scheme != "unix":
        raise ConfigurationError(VARIABLE, "must start with redis://, rediss://, unix:// or redis+sentinel://")
    if parts.hostname or len(parts.path) < 2:
        raise ConfigurationError(VARIABLE, "a socket's path must be absolute: unix:///path/to/redis.sock")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    database = options.pop("db", "0")
    if options or parts.fragment or not database.isdecimal():
        # Do not name the option: it may be part of a password that was not percent-encoded.
        raise ConfigurationError(VARIABLE, "has an unknown option; a socket has one, db=number")
    return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={database}"


def transport_options(redis_url: str) -> dict[str, Any]:
    """Return kombu's options for a URL of Sentinels, none for any other; broker_url must have checked the URL."""
    sentinels = sentinels_of(redis_url)
    if sentinels is None:
        return {}
    limits = {"socket_timeout": 1, "socket_connect_timeout": 1}
    return {"master_name": sentinels.master, "sentinel_kwargs": {**limits, **sentinels.to_sentinels}}


def _sentinel_urls(sentinels: Sentinels) -> str:
    login = ":".join(quote(sentinels.login.get(name, ""), safe="") for name in ("username", "password"))
    query = f"?{urlencode(sentinels.tls)}" if sentinels.tls else ""
    hosts = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in sentinels.hosts)
    return ";".join(f"sentinel://{login}@{host}/{sentinels.database}{query}" for host in hosts)
