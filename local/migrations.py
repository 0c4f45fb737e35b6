"""Migrating the tables of every service."""

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

# The files that decide which migrations exist; packages' versions and settings decide about those of Django's apps.
_KNOWN = ("*/*/migrations/*.py", "*/requirements.txt", "*/*/*settings.py")


def migrate(env: Mapping[str, str]) -> None:
    """Migrate all services concurrently; raises CommandError with the reason of the first that fails.

    Three processes with nothing to do take a third of a start, so for a SQLite file the state after the last migration
    is recorded, and an unchanged state skips them. SQL Server is migrated each time.
    """
    note = Path(env["RUN_DIR"], "migrated")
    # Read before migrating, since a `git pull` may add migrations meanwhile.
    known = _known()
    applied = _applied(env)
    if applied and note.is_file() and note.read_text(encoding="utf-8") == known + applied:
        print("the database is up to date", flush=True)
        return
    with ThreadPoolExecutor() as pool:
        # Results come in the order of the services, whichever finishes first.
        for service, result in zip(SERVICES, pool.map(lambda service: _run(service, env), SERVICES), strict=True):
            if result.returncode:
                raise CommandError(f"{service} cannot migrate the database: {reason(result.stdout)}")
    replace_file(note, known + _applied(env))
    print("the database is up to date", flush=True)


def reason(output: str) -> str:
    """Return the reason of a failed migration from its output."""
    words = last_line(output)
    is_older = "no such table" in words or "Invalid object name" in words
    return words + " (a version before 0.1.0 created the database: see CHANGELOG.md)" * is_older


def _known() -> str:
    """Return a digest of the files that decide which migrations exist."""
    digest = hashlib.sha256()
    for pattern in _KNOWN:
        for path in sorted(CHECKOUT.glob(f"services/{pattern}")):
            digest.update(str(path.relative_to(CHECKOUT)).encode() + path.read_bytes())
    return digest.hexdigest()


def _applied(env: Mapping[str, str]) -> str:
    """Return a digest of the migrations applied to the SQLite file, or an empty string if there is no such file."""
    url = urlsplit(env.get("DATABASE_URL", ""))
    file = unquote(url.path.removeprefix("/"))
    if url.scheme != "sqlite":
        return ""
    try:
        # Read-only, so that a missing file is not created.
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
