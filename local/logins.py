"""The last part of `make database`: where SERVICE_LOGINS is 1, a login for each service. Their URLs go into .env."""

import fcntl
import os
import secrets
import subprocess
import sys
from urllib.parse import quote, unquote, urlsplit

from environment import CHECKOUT, SERVICES, StartError, load, url_variable
from odbc import is_sqlserver, register_driver
from up import migrate


def main() -> int:
    try:
        env = load()
        if env["SERVICE_LOGINS"] != "1":
            return 0
        if not is_sqlserver(env):
            raise StartError("SERVICE_LOGINS: DATABASE_URL names no SQL Server, and nothing else has logins")
        register_driver(env)
        urls = write_urls()
        # A right is on a table, so the tables come first.
        migrate(env)
        for service in SERVICES:
            make_login(service, urls[service], env)
    except StartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def write_urls() -> dict[str, str]:
    """The URL of each service; what has none yet gets one with a fresh password, in .env."""
    with (CHECKOUT / ".env").open("a+", encoding="utf-8") as file:
        # Of two that do this at once the second finds what the first has written.
        fcntl.flock(file, fcntl.LOCK_EX)
        env = load()
        missing = [url_variable(service) for service in SERVICES if url_variable(service) not in env]
        # What is there but empty counts as unset.
        if missing and (os.environ.get("DATABASE_URL", "").strip() or "DATABASE_URL_FILE" in env):
            raise StartError(f"{missing[0]}: set it where DATABASE_URL is set, which is not in .env")
        for name in missing:
            env[name] = login_url(env["DATABASE_URL"], name.partition("_")[0].lower())
            file.write(f"\n{name}='{env[name]}'\n")
    urls = {service: env[url_variable(service)] for service in SERVICES}
    # Each gets its own rights and loses all others.
    users = [unquote(urlsplit(url).username or "").lower() for url in urls.values()]
    for service, user in zip(SERVICES, users, strict=True):
        if users.count(user) > 1:
            raise StartError(f"{url_variable(service)}: names the login of another service")
    return urls


def login_url(url: str, service: str) -> str:
    """The same database, by a login that is named for the database and the service."""
    parts = urlsplit(url)
    name = f"{unquote(parts.path.removeprefix('/'))}_{service}"
    # In the three kinds of characters that a server's password policy asks for, whatever the rest is.
    password = f"aA1{secrets.token_urlsafe(32)}"
    return parts._replace(netloc=f"{quote(name, safe='')}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()


def make_login(service: str, url: str, env: dict[str, str]) -> None:
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
        raise StartError(f"{url_variable(service)}: {(made.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    print(made.stdout.strip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
