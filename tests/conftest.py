"""Which suites run: those of SQL Server by `make test-sqlserver` alone, those of SQLite's file by all else."""

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

pytest_plugins = ["compose"]

CHECKOUT = Path(__file__).resolve().parents[1]
PASSWORD = f"aA1{secrets.token_urlsafe(32)}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sqlserver", action="store_true", help="run on the server that DATABASE_URL names")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sqlserver: needs a SQL Server; deselected without --sqlserver")
    config.addinivalue_line("markers", "sqlite: about the SQLite file; deselected with --sqlserver")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    other = "sqlite" if config.getoption("sqlserver") else "sqlserver"
    deselected = [item for item in items if item.get_closest_marker(other)]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item not in deselected]


def manage(*arguments: str, service: str = "tasks", **env: str) -> subprocess.CompletedProcess[str]:
    """Run a service's manage.py, or with -c a script in its Python, with the local stack's variables and these."""
    script = arguments[0] == "-c"
    command = arguments if script else ("manage.py", *arguments)
    settings = {"DJANGO_SETTINGS_MODULE": f"{service}_service.settings"} if script else {}
    return subprocess.run(
        [CHECKOUT / "var/env/local/bin/python", CHECKOUT / "local/run.py", service, "python", *command],
        env={**os.environ, **settings, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def make_logins(**env: str) -> subprocess.CompletedProcess[str]:
    """The part of `make database` that SERVICE_LOGINS asks for."""
    return subprocess.run(
        [CHECKOUT / "var/env/local/bin/python", CHECKOUT / "local/logins.py"],
        env={**os.environ, "SERVICE_LOGINS": "1", **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# A connection that has just ended may still count as one.
DROP = """
import time, django
django.setup()
from django.db import Error, connection
name = connection.settings_dict["NAME"]
connection.settings_dict["NAME"] = "master"
for attempt in range(50):
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT DB_ID(%s)", [name])
            if cursor.fetchone()[0] is not None:
                cursor.execute(f"DROP DATABASE [{name.replace(']', ']]')}]")
            for service in ("auth", "tasks", "scheduler"):
                cursor.execute("SELECT SUSER_ID(%s)", [f"{name}_{service}"])
                if cursor.fetchone()[0] is not None:
                    cursor.execute(f"DROP LOGIN [{name}_{service}]")
        break
    except Error:
        if attempt == 49:
            raise
        time.sleep(0.2)
"""


# What the launcher makes of the shell and of .env.
SETTINGS = """
import json, os
print(json.dumps({name: os.environ[name] for name in ("DATABASE_URL", "ODBCSYSINI") if name in os.environ}))
"""


class Server:
    """The server that DATABASE_URL names, and the databases that the tests make on it."""

    def __init__(self) -> None:
        settings = manage("-c", SETTINGS)
        assert settings.returncode == 0, settings.stderr
        # What a process needs besides the address, if it is not started by the launcher.
        self.env: dict[str, str] = json.loads(settings.stdout)
        self._url = urlsplit(self.env.pop("DATABASE_URL"))
        assert self._url.scheme == "mssql", "DATABASE_URL names no SQL Server"
        self._made: list[str] = []

    def address(self) -> tuple[str, int]:
        return self._url.hostname or "", self._url.port or 1433

    def url(self, *, suffix: str = "", **options: str) -> str:
        """The address of a database that nobody else has, not made yet."""
        name = f"{self._url.path.strip('/')}_{secrets.token_hex(4)}{suffix}"
        query = urlencode(dict(parse_qsl(self._url.query)) | options)
        url = self._url._replace(path=f"/{quote(name, safe='')}", query=query).geturl()
        self._made.append(url)
        return url

    def made(self, **options: str) -> str:
        """The address of a new and empty database."""
        url = self.url(**options)
        created = manage("database", DATABASE_URL=url)
        assert created.returncode == 0, created.stderr
        return url

    def logins(self, url: str) -> dict[str, str]:
        """What SERVICE_LOGINS makes of a database, tables included: each service's own URL, by its variable."""
        parts = urlsplit(url)
        logins = {}
        for service in ("auth", "tasks", "scheduler"):
            netloc = f"{parts.path.strip('/')}_{service}:{PASSWORD}@{parts.netloc.rpartition('@')[2]}"
            logins[f"{service.upper()}_DATABASE_URL"] = parts._replace(netloc=netloc).geturl()
        made = make_logins(DATABASE_URL=url, **logins)
        assert made.returncode == 0, made.stderr
        return logins

    def drop_all(self) -> None:
        for url in self._made:
            dropped = manage("-c", DROP, DATABASE_URL=url)
            assert dropped.returncode == 0, dropped.stderr


@pytest.fixture(scope="session", name="manage")
def manage_fixture() -> Callable[..., subprocess.CompletedProcess[str]]:
    return manage


@pytest.fixture(scope="session", name="make_logins")
def make_logins_fixture() -> Callable[..., subprocess.CompletedProcess[str]]:
    return make_logins


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.drop_all()
