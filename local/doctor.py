"""`make doctor`: what the stack needs, what is there, and how to get the rest. Exit code 1 where something is.

With --sqlserver it also counts as missing that DATABASE_URL names no SQL Server.
"""

import platform
import re
import subprocess
import sys

from environment import CHECKOUT, SERVICES, StartError, load, own_redis_url, url_variable
from odbc import DRIVER, is_sqlserver, register_driver
from up import find_nginx, find_redis


class Report:
    """One line for each thing."""

    complete = True

    def ok(self, what: str, words: str) -> None:
        print(f"ok       {what:<10} {words}", flush=True)

    def missing(self, what: str, words: object) -> None:
        print(f"missing  {what:<10} {words}", flush=True)
        self.complete = False


def main() -> int:
    report = Report()
    report.ok("Python", f"{platform.python_version()}, {sys.executable}")
    try:
        env = load()
    except StartError as error:
        report.missing("settings", error)
        return 1
    for name, find, wanted in (
        ("nginx", find_nginx, True),
        ("redis", find_redis, env["REDIS_URL"] == own_redis_url(env["RUN_DIR"])),
    ):
        try:
            report.ok(name, find() if wanted else "the one that REDIS_URL names")
        except StartError as error:
            report.missing(name, error)
    if is_sqlserver(env):
        try:
            report.ok("driver", f"{DRIVER}, {register_driver(env)}")
        except StartError as error:
            report.missing("driver", error)
            return 1
    elif "--sqlserver" in sys.argv[1:]:
        report.missing("database", "set DATABASE_URL=mssql://user:password@host:1433/name; see docs/sqlserver.md")
        return 1
    checked = check_database("tasks", env)
    print(checked.stdout, end="", flush=True)
    if checked.stderr:
        report.missing("settings", last_line(checked.stderr))
    if checked.returncode:
        return 1
    for service in SERVICES:
        name = url_variable(service)
        if name in env:
            own = env | {"DATABASE_URL": env[name]}
            # The services refuse both together.
            own.pop("DATABASE_URL_FILE", None)
            tried = check_database(service, own)
            if tried.returncode:
                report.missing("login", f"{name}: {last_line(tried.stderr or tried.stdout)}")
            else:
                report.ok("login", f"{name}: logs in")
    return 0 if report.complete else 1


def check_database(service: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [f"{env['ENVIRONMENTS']}/{service}/bin/python", "manage.py", "database", "--check"],
        cwd=CHECKOUT / "services" / service,
        env=env,
        check=False,
        capture_output=True,
        text=True,
    )


def last_line(output: str) -> str:
    """What was said last, without the mark and the name of the thing before it."""
    return re.sub(r"^missing +\w+ +", "", output.strip().splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
