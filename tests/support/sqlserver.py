"""The SQL Server that DATABASE_URL names, and the databases that the tests create on it."""

import json
import secrets
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from support.commands import make_logins, manage, output_of, program
from support.paths import SERVICES

DRIVERS = ("pyodbc", "mssql_python")
PASSWORD = f"aA1{secrets.token_urlsafe(32)}"


class Server:
    """A server and the databases created on it."""

    def __init__(self) -> None:
        # As the launcher derives them from the shell and .env.
        variables: dict[str, str] = json.loads(output_of(manage(*program("any/database_variables"))))
        self._url = urlsplit(variables.pop("DATABASE_URL"))
        assert self._url.scheme == "mssql", "DATABASE_URL names no SQL Server"
        # Needed besides the URL by a process that the launcher does not start.
        self.env = variables
        self._urls: list[str] = []

    def address(self) -> tuple[str, int]:
        return self._url.hostname or "", self._url.port or 1433

    def url(self, *, suffix: str = "", **options: str) -> str:
        """Return the URL of a new database, which does not exist yet."""
        name = f"{self._url.path.strip('/')}_{secrets.token_hex(4)}{suffix}"
        query = urlencode(dict(parse_qsl(self._url.query)) | options)
        url = self._url._replace(path=f"/{quote(name, safe='')}", query=query).geturl()
        self._urls.append(url)
        return url

    def create(self, *, suffix: str = "", migrate: tuple[str, ...] = (), **options: str) -> str:
        """Create a database with the tables of these services; return its URL."""
        url = self.url(suffix=suffix, **options)
        output_of(manage("database", DATABASE_URL=url))
        for service in migrate:
            output_of(manage("migrate", "--verbosity", "0", service=service, DATABASE_URL=url))
        return url

    def create_logins(self, url: str) -> dict[str, str]:
        """Create the logins that SERVICE_LOGINS enables, and the tables; return each service's URL by variable."""
        parts = urlsplit(url)
        logins = {}
        for service in SERVICES:
            netloc = f"{parts.path.strip('/')}_{service}:{PASSWORD}@{parts.netloc.rpartition('@')[2]}"
            logins[f"{service.upper()}_DATABASE_URL"] = parts._replace(netloc=netloc).geturl()
        output_of(make_logins(DATABASE_URL=url, **logins))
        return logins

    def drop(self, url: str) -> None:
        """Drop a database and its logins."""
        output_of(manage(*program("any/drop_database"), DATABASE_URL=url))

    def drop_all(self) -> None:
        for url in self._urls:
            self.drop(url)
