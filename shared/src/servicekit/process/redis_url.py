"""REDIS_URL: one Redis, or the Sentinels that know which Redis is the master. Imports neither Django nor Celery.

``redis://[user:password@]host[:port][/db]``, ``rediss://…`` for TLS, ``unix://[user:password@]/path[?db=number]``, and
``redis+sentinel://[user:password@]host[:port],host[:port]…/master[/db]`` or ``rediss+sentinel://…``, a form that other
clients use too. TLS options: ``ssl_ca_certs=/path``, ``ssl_cert_reqs=required|none``,
``ssl_check_hostname=true|false``. Options for Sentinels with a separate login: ``sentinel_username``,
``sentinel_password``.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from servicekit.process.redis_library import NoBackoff, Retry, redis

TLS_OPTIONS = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}
SENTINEL_OPTIONS = {"sentinel_username", "sentinel_password"}
SENTINEL_PORT = 26379


@dataclass(frozen=True)
class Sentinels:
    """The hosts of the Sentinels, the name of the master, and how to log in."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    database: int
    # The login for Redis, and that for the Sentinels.
    login: dict[str, str] = field(default_factory=dict, repr=False)
    sentinel_login: dict[str, str] = field(default_factory=dict, repr=False)
    # redis-py's TLS options, as text; empty without TLS.
    tls: dict[str, str] = field(default_factory=dict)

    @property
    def to_master(self) -> dict[str, Any]:
        """Return redis-py's options for a connection to the master, without host and port."""
        return {"db": self.database, **self._encryption(), **self.login}

    @property
    def to_sentinels(self) -> dict[str, Any]:
        """Return redis-py's options for a connection to a Sentinel, without host and port."""
        return {**self._encryption(), **self.sentinel_login}

    def _encryption(self) -> dict[str, Any]:
        if not self.tls:
            return {}
        return {**self.tls, "ssl": True, "ssl_check_hostname": self.tls["ssl_check_hostname"].lower() != "false"}


def sentinels_of(url: str) -> Sentinels | None:
    """Parse a URL of Sentinels; return None for any other URL. Raises ValueError if it is malformed."""
    scheme, _, rest = url.partition("://")
    if scheme not in ("redis+sentinel", "rediss+sentinel"):
        return None
    # urlsplit does not support a list of hosts, and may take the end of it for a port.
    authority, _, path = rest.partition("?")[0].partition("/")
    login, _, hosts = authority.rpartition("@")
    username, _, password = login.partition(":")
    master, _, database = path.partition("/")
    options = dict(parse_qsl(rest.partition("?")[2], keep_blank_values=True))
    allowed = SENTINEL_OPTIONS | (TLS_OPTIONS.keys() | {"ssl_ca_certs"} if scheme == "rediss+sentinel" else set())
    if not master or not (database or "0").isdecimal() or options.keys() - allowed:
        raise ValueError("malformed")
    return Sentinels(
        hosts=tuple(_host(text) for text in hosts.split(",")),
        master=unquote(master),
        database=int(database or 0),
        login=_without_empty(username=unquote(username), password=unquote(password)),
        sentinel_login=_without_empty(
            username=options.get("sentinel_username", ""), password=options.get("sentinel_password", "")
        ),
        tls=tls_options(options) if scheme == "rediss+sentinel" else {},
    )


def tls_options(options: dict[str, str]) -> dict[str, str]:
    """Return the TLS options, with redis-py's defaults for those that kombu would leave insecure."""
    return TLS_OPTIONS | {name: text for name, text in options.items() if name.startswith("ssl_")}


def client_of(url: str, *, timeout_seconds: float, **options: Any) -> "redis.Redis":
    """Return a client that connects on first use, gives up after the timeout and does not retry.

    Raises ValueError for an invalid URL.
    """
    limits: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        # The default retries with pauses, which no caller has time for.
        "retry": Retry(NoBackoff(), 0),
    }
    sentinels = sentinels_of(url)
    if sentinels is None:
        return redis.Redis.from_url(url, **limits, **options)
    sentinel = redis.Sentinel(  # type: ignore[no-untyped-call]
        sentinels.hosts, sentinel_kwargs=limits | sentinels.to_sentinels
    )
    client: redis.Redis = sentinel.master_for(  # type: ignore[no-untyped-call]
        sentinels.master, **limits, **sentinels.to_master, **options
    )
    return client


def _host(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("no host")
    return parts.hostname, parts.port or SENTINEL_PORT


def _without_empty(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
