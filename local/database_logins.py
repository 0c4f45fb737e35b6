"""The last part of `make database`: if SERVICE_LOGINS is 1, create a login per service and write its URL to .env."""

import fcntl
import os
import secrets
import subprocess
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

from local import environment, odbc
from local.environment import CHECKOUT, SERVICES, url_variable
from local.errors import CommandError
from local.migrations import migrate
from local.output import last_line


def main(arguments: list[str]) -> int:
    """Create the logins."""
    env = environment.load()
    if env["SERVICE_LOGINS"] != "1":
        return 0
    if not odbc.is_sqlserver(env):
        raise CommandError("SERVICE_LOGINS: DATABASE_URL names no SQL Server, and other databases have no logins")
    odbc.register_driver(env)
    urls = write_urls()
    # Create the tables first, since permissions are granted on tables.
    migrate(env)
    for service in SERVICES:
        create_login(service, urls[service], env)
    return 0


def write_urls() -> dict[str, str]:
    """Return the URL of each service, after adding missing ones to .env, with new passwords."""
    with (CHECKOUT / ".env").open("a+", encoding="utf-8") as file:
        # A concurrent command waits here, and then reads the URLs that this one has written.
        fcntl.flock(file, fcntl.LOCK_EX)
        env = environment.load()
        missing = [url_variable(service) for service in SERVICES if url_variable(service) not in env]
        # An empty variable counts as unset.
        if missing and (os.environ.get("DATABASE_URL", "").strip() or "DATABASE_URL_FILE" in env):
            raise CommandError(f"{missing[0]}: set it where DATABASE_URL is set, which is not in .env")
        for name in missing:
            env[name] = login_url(env["DATABASE_URL"], name.partition("_")[0].lower())
            file.write(f"\n{name}='{env[name]}'\n")
    urls = {service: env[url_variable(service)] for service in SERVICES}
    # Two services cannot share a login: creating it grants one service's permissions and revokes all others.
    users = [unquote(urlsplit(url).username or "").lower() for url in urls.values()]
    for service, user in zip(SERVICES, users, strict=True):
        if users.count(user) > 1:
            raise CommandError(f"{url_variable(service)}: names the login of another service")
    return urls


def login_url(url: str, service: str) -> str:
    """Return the URL of the same database for a login named after the database and the service."""
    parts = urlsplit(url)
    name = f"{unquote(parts.path.removeprefix('/'))}_{service}"
    # The prefix has the three kinds of characters that a server's password policy requires.
    password = f"aA1{secrets.token_urlsafe(32)}"
    return parts._replace(netloc=f"{quote(name, safe='')}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()


def create_login(service: str, url: str, env: Mapping[str, str]) -> None:
    """Create the login in the URL, with the permissions of the service."""
    made = subprocess.run(
        [f"{env['ENVIRONMENTS']}/{service}/bin/python", "manage.py", "database_login"],
        cwd=CHECKOUT / "services" / service,
        env=env,
        # Not an argument, which every process on the machine could read.
        input=url,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise CommandError(f"{url_variable(service)}: {last_line(made.stderr)}")
    print(made.stdout.strip(), flush=True)
