"""Turn DATABASE_URL into Django's DATABASES entry: SQLite for development, Microsoft SQL Server for production."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from servicekit.process import env
from servicekit.process.env import ConfigurationError

VARIABLE = "DATABASE_URL"

# SQLite: how long a writer waits for another transaction. Less than the 15 s that the gateway waits for a response.
SQLITE_BUSY_SECONDS = 10
CONNECT_TIMEOUT_SECONDS = 3
QUERY_TIMEOUT_SECONDS = 10
CONNECTION_AGE_SECONDS = 600

DRIVER = "ODBC Driver 18 for SQL Server"

_MSSQL_FORM = "mssql://user:password@host:1433/name"
_YES_NO = {"yes": "yes", "true": "yes", "1": "yes", "no": "no", "false": "no", "0": "no"}
_ENCRYPT = {**_YES_NO, "strict": "strict", "mandatory": "yes", "optional": "no"}
MSSQL_OPTIONS = (
    "driver",
    "encrypt",
    "trust_server_certificate",
    "python_driver",
    "instance",
    "connect_timeout",
    "query_timeout",
)


def database_from_env(*, default_path: Path) -> dict[str, Any]:
    """Return the entry for DATABASE_URL; if it is unset, one for a SQLite file at ``default_path``.

    ``sqlite:////absolute/path`` or ``mssql://user:password@host[:port]/name[?option=value&…]``, where user, password
    and name are percent-encoded; docs/sqlserver.md explains the options. Raises ConfigurationError, which names the
    invalid part and never shows the password.
    """
    url = env.get(VARIABLE)
    return database_from_url(url) if url else _sqlite(default_path)


def database_from_url(url: str) -> dict[str, Any]:
    """Return the entry for a URL; see database_from_env."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigurationError(VARIABLE, "cannot be parsed: the host or port is malformed") from None
    if parts.scheme == "sqlite":
        path = unquote(parts.path)
        if parts.netloc or parts.query or parts.fragment or not path.startswith("//"):
            raise ConfigurationError(
                VARIABLE, "a SQLite path must be absolute and percent-encoded: sqlite:////path/to/file"
            )
        return _sqlite(Path(path[1:]))
    if parts.scheme == "mssql":
        return _mssql(parts, port)
    raise ConfigurationError(VARIABLE, "must start with mssql:// or sqlite://")


def _sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "servicekit.database.sqlite",
        "NAME": str(path),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": SQLITE_BUSY_SECONDS,
            # Acquire the write lock at the start: a deferred transaction that reads and then writes cannot wait for
            # it and fails with "database is locked" (https://sqlite.org/lang_transaction.html).
            "transaction_mode": "IMMEDIATE",
            # In WAL mode, readers do not wait for a writer, and NORMAL survives the crash of a process
            # (https://sqlite.org/pragma.html#pragma_synchronous).
            # A commit that finds more than this many pages in the log (16 MB) copies them into the file and waits for
            # the disk. Under load, where reads never pause, the log cannot start over, and every commit beyond the
            # limit does so; a larger limit makes that rarer, at the cost of a longer copy for that one request
            # (https://sqlite.org/wal.html#avoiding_excessively_large_wal_files).
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=4000;",
        },
    }


def _mssql(parts: SplitResult, port: int | None) -> dict[str, Any]:
    host, user, password = parts.hostname or "", unquote(parts.username or ""), unquote(parts.password or "")
    name = unquote(parts.path.removeprefix("/"))
    options = _options(parts.query)
    python_driver = _choice(options, "python_driver", "pyodbc", {name: name for name in ("pyodbc", "mssql_python")})
    driver = options.get("driver", DRIVER)
    instance = options.get("instance")
    encrypt = _choice(options, "encrypt", "yes", _ENCRYPT)
    trust = _choice(options, "trust_server_certificate", "no", _YES_NO)
    connect_timeout = _seconds(options, "connect_timeout", CONNECT_TIMEOUT_SECONDS)
    query_timeout = _seconds(options, "query_timeout", QUERY_TIMEOUT_SECONDS)

    if parts.fragment:
        raise ConfigurationError(VARIABLE, "contains a #, which must be written %23")
    if not host:
        raise ConfigurationError(VARIABLE, f"the host is missing: {_MSSQL_FORM}")
    if not re.fullmatch(r"[\w.:%-]+", host, re.ASCII):
        # SQL Server's tools write host\instance and host,port.
        raise ConfigurationError(
            VARIABLE, "the host may only be a name or an address; an instance is ?instance=name, a port follows a colon"
        )
    if not user or not password:
        raise ConfigurationError(VARIABLE, f"the user or the password is missing: {_MSSQL_FORM}")
    if "\0" in user + password + name:
        raise ConfigurationError(VARIABLE, "contains %00, which is not valid in a user, password or name")
    if python_driver == "mssql_python" and password.strip() != password:
        raise ConfigurationError(
            VARIABLE, "the password begins or ends with a space, which mssql_python cuts off; use python_driver=pyodbc"
        )
    if not name or "/" in name:
        raise ConfigurationError(VARIABLE, f"the database's name is missing: {_MSSQL_FORM}")
    if not re.fullmatch(r"ODBC Driver \d+ for SQL Server", driver, re.ASCII):
        raise ConfigurationError(VARIABLE, f"driver must be one of Microsoft's, such as {DRIVER}")
    if "driver" in options and python_driver != "pyodbc":
        raise ConfigurationError(VARIABLE, "driver is an option of pyodbc; mssql_python brings its own")
    if instance is not None and not re.fullmatch(r"[^\W\d][\w$#]{0,15}", instance):
        raise ConfigurationError(VARIABLE, "instance must be an instance's name, such as SQLEXPRESS")
    if instance is not None and port is not None:
        # The driver would use the port and ignore the instance.
        raise ConfigurationError(VARIABLE, "has a port and an instance; the port alone identifies the instance")

    entry: dict[str, Any] = {
        "ENGINE": "mssql",
        "NAME": name,
        # For a named instance, the driver queries SQL Server Browser on the host for the port.
        "HOST": f"{host}\\{instance}" if instance else host,
        "PORT": "" if instance else str(port or 1433),
        "USER": user,
        "PASSWORD": password,
        "CONN_MAX_AGE": CONNECTION_AGE_SECONDS,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            # The backend appends this unescaped, so it must contain only our own constants, no part of the URL.
            "extra_params": f"Encrypt={encrypt};TrustServerCertificate={trust};ConnectRetryCount=0",
            # The backend's defaults are 15 s per attempt, and five attempts at intervals of 5 s.
            "connection_timeout": connect_timeout,
            "connection_retries": 0,
            "query_timeout": query_timeout,
        },
    }
    if python_driver == "mssql_python":
        entry["OPTIONS"]["python_driver"] = "mssql_python"
    else:
        entry["OPTIONS"]["driver"] = driver
    return entry


def _options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if not options.keys() <= set(MSSQL_OPTIONS):
        # Do not name it: it may be part of a password that was not percent-encoded.
        raise ConfigurationError(VARIABLE, f"has an unknown option; known are {', '.join(MSSQL_OPTIONS)}")
    for name in MSSQL_OPTIONS:
        if sum(name == other for other, _ in pairs) > 1:
            raise ConfigurationError(VARIABLE, f"has {name} twice")
    return options


def _choice(options: dict[str, str], name: str, default: str, choices: dict[str, str]) -> str:
    value = choices.get(options.get(name, default).lower())
    if value is None:
        raise ConfigurationError(VARIABLE, f"{name} must be one of {', '.join(choices)}")
    return value


def _seconds(options: dict[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    # Not 0, which to the drivers means no limit: a request must end.
    if not re.fullmatch(r"[1-9][0-9]{0,2}", text, re.ASCII):
        raise ConfigurationError(VARIABLE, f"{name} must be whole seconds from 1 to 999")
    return int(text)
