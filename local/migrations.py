"""Bring the tables of every service up to date."""

import contextlib
import hashlib
import sqlite3
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from local.environment import CHECKOUT, SERVICES
from local.errors import CommandError
from local.files import replace_file
from local.output import last_line

# What there is to apply: our migrations, and by the packages' versions and the settings those of Django's apps.
_KNOWN = ("*/*/migrations/*.py", "*/requirements.txt", "*/*/*settings.py")


def migrate(env: Mapping[str, str]) -> None:
    """Migrate all services at once, which they allow; raises CommandError with the reason of the first that fails.

    Three processes that find nothing to do take a third of a start, so the last call leaves a note of what it has done
    to a SQLite file. SQL Server is asked each time.
    """
    note = Path(env["RUN_DIR"], "migrated")
    # Read before migrating, since a `git pull` may add some meanwhile.
    known = _known()
    applied = _applied(env)
    if applied and note.is_file() and note.read_text(encoding="utf-8") == known + applied:
        print("the database is up to date", flush=True)
        return
    with ThreadPoolExecutor() as pool:
        # In the order of the services, whichever ends first.
        for service, result in zip(SERVICES, pool.map(lambda service: _run(service, env), SERVICES), strict=True):
            if result.returncode:
                raise CommandError(f"{service} cannot migrate the database: {reason(result.stdout)}")
    replace_file(note, known + _applied(env))
    print("the database is up to date", flush=True)


def reason(output: str) -> str:
    """Return why a migration failed, by its output."""
    words = last_line(output)
    is_older = "no such table" in words or "Invalid object name" in words
    return words + " (a version before 0.1.0 made it: CHANGELOG.md)" * is_older


def _known() -> str:
    """Return a digest of the files that decide which migrations there are."""
    digest = hashlib.sha256()
    for pattern in _KNOWN:
        for path in sorted(CHECKOUT.glob(f"services/{pattern}")):
            digest.update(str(path.relative_to(CHECKOUT)).encode() + path.read_bytes())
    return digest.hexdigest()


def _applied(env: Mapping[str, str]) -> str:
    """Return a digest of the migrations that the SQLite file has; empty without one."""
    url = urlsplit(env.get("DATABASE_URL", ""))
    file = unquote(url.path.removeprefix("/"))
    if url.scheme != "sqlite":
        return ""
    try:
        # Only to be read, so that a file which is missing is not made.
        opened = sqlite3.connect(f"file:{quote(file)}?mode=ro", uri=True)
        with contextlib.closing(opened) as database:
            rows = database.execute("SELECT app, name, applied FROM django_migrations ORDER BY id").fetchall()
    except sqlite3.Error:
        return ""
    return hashlib.sha256(repr(rows).encode()).hexdigest()


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
