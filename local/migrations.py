"""Bring the tables of every service up to date."""

import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from local.environment import CHECKOUT, SERVICES
from local.errors import CommandError
from local.output import last_line


def migrate(env: Mapping[str, str]) -> None:
    """Migrate all services at once, which they allow; raises CommandError with the reason of the first that fails."""
    with ThreadPoolExecutor() as pool:
        # In the order of the services, whichever ends first.
        for service, result in zip(SERVICES, pool.map(lambda service: _run(service, env), SERVICES), strict=True):
            if result.returncode:
                raise CommandError(f"{service} cannot migrate the database: {reason(result.stdout)}")
    print("the database is up to date", flush=True)


def reason(output: str) -> str:
    """Return why a migration failed, by its output."""
    words = last_line(output)
    is_older = "no such table" in words or "Invalid object name" in words
    return words + " (a version before 0.1.0 made it: CHANGELOG.md)" * is_older


def _run(service: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [f"{env['ENVIRONMENTS']}/{service}/bin/python", "manage.py", "migrate", "--noinput"],
        cwd=CHECKOUT / "services" / service,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
