"""The last part of `make database`: where SERVICE_LOGINS is 1, a login for each service. Their URLs go into .env."""

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
    """Make the logins."""
    env = environment.load()
    if env["SERVICE_LOGINS"] != "1":
        return 0
    if not odbc.is_sqlserver(env):
        raise CommandError("SERVICE_LOGINS: DATABASE_URL names no SQL Server, and nothing else has logins")
    odbc.register_driver(env)
    urls = write_urls()
    # A right is on a table, so the tables come first.
    migrate(env)
    for service in SERVICES:
        make_login(service, urls[service], env)
    return 0


def write_urls() -> dict[str, str]:
    """Return the URL of each service, after adding those that are missing to .env, with fresh passwords."""
    with (CHECKOUT / ".env").open("a+", encoding="utf-8") as file:
        # A second command that does this at once waits here, and then finds what the first has written.
        fcntl.flock(file, fcntl.LOCK_EX)
        env = environment.load()
        missing = [url_variable(service) for service in SERVICES if url_variable(service) not in env]
        # What is there but empty counts as unset.
        if missing and (os.environ.get("DATABASE_URL", "").strip() or "DATABASE_URL_FILE" in env):
            raise CommandError(f"{missing[0]}: set it where DATABASE_URL is set, which is not in .env")
        for name in missing:
            env[name] = login_url(env["DATABASE_URL"], name.partition("_")[0].lower())
            file.write(f"\n{name}='{env[name]}'\n")
    urls = {service: env[url_variable(service)] for service in SERVICES}
    # Each gets its own rights and loses all others.
    users = [unquote(urlsplit(url).username or "").lower() for url in urls.values()]
    for service, user in zip(SERVICES, users, strict=True):
        if users.count(user) > 1:
            raise CommandError(f"{url_variable(service)}: names the login of another service")
    return urls


def login_url(url: str, service: str) -> str:
    """Return the URL of the same database for a login that is named for the database and the service."""
    parts = urlsplit(url)
    name = f"{unquote(parts.path.removeprefix('/'))}_{service}"
    # In the three kinds of characters that a server's password policy asks for, whatever the rest is.
    password = f"aA1{secrets.token_urlsafe(32)}"
    return parts._replace(netloc=f"{quote(name, safe='')}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()


def make_login(service: str, url: str, env: Mapping[str, str]) -> None:
    """Make the login that the URL names, with the rights of the service."""
    made = subprocess.run(
        [f"{env['ENVIRONMENTS']}/{service}/bin/python", "manage.py", "database_login"],
        cwd=CHECKOUT / "services" / service,
        env=env,
        # Not an argument, which every process of the machine could read.
        input=url,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise CommandError(f"{url_variable(service)}: {last_line(made.stderr)}")
    print(made.stdout.strip(), flush=True)
