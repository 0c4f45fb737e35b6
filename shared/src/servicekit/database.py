"""DATABASE_URL to Django's DATABASES entry (SQLite for a look, Microsoft SQL Server for work), and its absence."""

from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.db import Error as DatabaseLayerError
from django.db import InterfaceError, OperationalError

from servicekit import env
from servicekit.env import ConfigurationError

VARIABLE = "DATABASE_URL"

# SQLite: how long a writer waits for another one's transaction. Below the gateway's 15 s for an answer.
SQLITE_BUSY_SECONDS = 10
CONNECT_TIMEOUT_SECONDS = 3
QUERY_TIMEOUT_SECONDS = 10
CONNECTION_AGE_SECONDS = 600

_YES_NO = {"yes": "yes", "true": "yes", "1": "yes", "no": "no", "false": "no", "0": "no"}
_ENCRYPT = {**_YES_NO, "strict": "strict", "mandatory": "yes", "optional": "no"}


def database_from_env(*, default_path: Path) -> dict[str, Any]:
    """The entry for DATABASE_URL, or for a SQLite file at ``default_path`` where it is unset.

    ``sqlite:////absolute/path`` or
    ``mssql://user:password@host[:port]/name[?driver=&encrypt=&trust_server_certificate=&python_driver=]``, where
    user and password are percent-encoded. Raises ConfigurationError that names the part that is wrong and never
    shows the password.
    """
    url = env.get(VARIABLE)
    if not url:
        return _sqlite(default_path)
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


def is_away(error: Exception) -> bool:
    """Whether the error says that the database cannot be worked with now, and not that we asked it something wrong.

    pyodbc reports some losses (a deadlock victim among them) as the bare base class; its other subclasses,
    IntegrityError and ProgrammingError for example, mean a defect.
    """
    return isinstance(error, OperationalError | InterfaceError) or type(error) is DatabaseLayerError


def _sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": SQLITE_BUSY_SECONDS,
            # A transaction that reads and then writes takes the write lock at once: a deferred one cannot wait for
            # it and fails with "database is locked" (https://sqlite.org/lang_transaction.html).
            "transaction_mode": "IMMEDIATE",
            # Readers do not wait for a writer; NORMAL is durable against the death of a process in this mode
            # (https://sqlite.org/pragma.html#pragma_synchronous).
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def _mssql(parts: SplitResult, port: int | None) -> dict[str, Any]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    driver = options.pop("driver", "ODBC Driver 18 for SQL Server")
    python_driver = _option(options, "python_driver", "pyodbc", {"pyodbc": "pyodbc", "mssql_python": "mssql_python"})
    encrypt = _option(options, "encrypt", "yes", _ENCRYPT)
    trust = _option(options, "trust_server_certificate", "no", _YES_NO)
    name = unquote(parts.path.removeprefix("/"))
    if options:
        # Not which one: it may be a piece of a password that was not percent-encoded.
        raise ConfigurationError(
            VARIABLE, "has an unknown option; known are driver, encrypt, trust_server_certificate and python_driver"
        )
    if not parts.hostname:
        raise ConfigurationError(VARIABLE, "the host is missing: mssql://user:password@host:1433/name")
    if not parts.username or not parts.password:
        raise ConfigurationError(VARIABLE, "the user or the password is missing: mssql://user:password@host:1433/name")
    if not name or "/" in name:
        raise ConfigurationError(VARIABLE, "the database's name is missing: mssql://user:password@host:1433/name")
    entry: dict[str, Any] = {
        "ENGINE": "mssql",
        "NAME": name,
        "HOST": parts.hostname,
        "PORT": str(port or 1433),
        "USER": unquote(parts.username),
        "PASSWORD": unquote(parts.password),
        "CONN_MAX_AGE": CONNECTION_AGE_SECONDS,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "extra_params": f"Encrypt={encrypt};TrustServerCertificate={trust}",
            # The backend's defaults are 15 s an attempt, and five attempts with five seconds between.
            "connection_timeout": CONNECT_TIMEOUT_SECONDS,
            "connection_retries": 0,
            "query_timeout": QUERY_TIMEOUT_SECONDS,
        },
    }
    if python_driver == "mssql_python":
        entry["OPTIONS"]["python_driver"] = "mssql_python"
    else:
        entry["OPTIONS"]["driver"] = driver
    return entry


def _option(options: dict[str, str], name: str, default: str, choices: dict[str, str]) -> str:
    value = choices.get(options.pop(name, default).lower())
    if value is None:
        raise ConfigurationError(VARIABLE, f"{name} must be one of {', '.join(choices)}")
    return value
