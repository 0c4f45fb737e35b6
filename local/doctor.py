"""`make doctor`: report what the stack needs, what is installed, and how to get the rest.

The exit code is 1 if something is missing. With --sqlserver, it is also 1 if DATABASE_URL names no SQL Server.
"""

import platform
import re
import subprocess
import sys
from collections.abc import Mapping

from local import environment, odbc, programs
from local.environment import CHECKOUT, SERVICES, url_variable
from local.errors import CommandError


class Report:
    """Prints one line per finding, and records whether anything is missing."""

    complete = True

    def ok(self, what: str, words: str) -> None:
        print(f"ok       {what:<10} {words}", flush=True)

    def note(self, what: str, words: str) -> None:
        print(f"note     {what:<10} {words}", flush=True)

    def missing(self, what: str, words: object) -> None:
        print(f"missing  {what:<10} {words}", flush=True)
        self.complete = False


def main(arguments: list[str]) -> int:
    """Run the checks in order; each may depend on the previous one."""
    report = Report()
    report.ok("Python", f"{platform.python_version()}, {sys.executable}")
    try:
        env = environment.load()
    except CommandError as error:
        report.missing("settings", error)
        return 1
    check_programs(report, env)
    if check_driver(report, env, wants_sqlserver="--sqlserver" in arguments) and check_database(report, env):
        check_logins(report, env)
        return 0 if report.complete else 1
    return 1


def check_programs(report: Report, env: Mapping[str, str]) -> None:
    """Look for nginx and Redis."""
    try:
        nginx = programs.find_nginx(env)
        report.ok("nginx", nginx)
        if lacking := programs.missing_modules(nginx, programs.OPTIONAL_MODULES):
            report.note("nginx", f"built without {', '.join(lacking)}, which TLS or TRUSTED_PROXIES needs")
    except CommandError as error:
        report.missing("nginx", error)
    try:
        report.ok("redis", programs.find_redis(env) if programs.needs_redis(env) else "the server in REDIS_URL")
    except CommandError as error:
        report.missing("redis", error)


def check_driver(report: Report, env: dict[str, str], *, wants_sqlserver: bool) -> bool:
    """Look for the ODBC driver if SQL Server is used; return whether the database can be checked."""
    if not odbc.is_sqlserver(env):
        if wants_sqlserver:
            report.missing("database", "set DATABASE_URL=mssql://user:password@host:1433/name; see docs/sqlserver.md")
        return not wants_sqlserver
    try:
        report.ok("driver", odbc.register_driver(env))
    except CommandError as error:
        report.missing("driver", error)
        return False
    return True


def check_database(report: Report, env: Mapping[str, str]) -> bool:
    """Have the tasks service check the database, and print its report; return whether the database can be used."""
    checked = run_check("tasks", env)
    print(checked.stdout, end="", flush=True)
    if checked.stderr:
        report.missing("settings", last_message(checked.stderr))
    return not checked.returncode


def check_logins(report: Report, env: Mapping[str, str]) -> None:
    """Test each service's own login."""
    for service in SERVICES:
        name = url_variable(service)
        if name in env:
            tried = run_check(service, environment.for_service(env, service))
            if tried.returncode:
                report.missing("login", f"{name}: {last_message(tried.stderr or tried.stdout)}")
            else:
                report.ok("login", f"{name}: logs in")


def run_check(service: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the service's `database --check`."""
    return subprocess.run(
        [f"{env['ENVIRONMENTS']}/{service}/bin/python", "manage.py", "database", "--check"],
        cwd=CHECKOUT / "services" / service,
        env=env,
        check=False,
        capture_output=True,
        text=True,
    )


def last_message(output: str) -> str:
    """Return the last line, without a leading "missing" and subject."""
    return re.sub(r"^missing +\w+ +", "", output.strip().splitlines()[-1])
