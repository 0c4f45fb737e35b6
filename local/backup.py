"""`make backup`: copy the database while the stack runs. Also contains what the other backup commands share."""

import datetime
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from local import environment, odbc
from local.environment import CHECKOUT
from local.errors import CommandError
from local.output import last_line

# Not in var/, which `make clean` deletes.
FOLDER = CHECKOUT / "backups"


def main(arguments: list[str]) -> int:
    """Back up to the named file, or to a new one in backups/."""
    env = environment.load()
    print(manage("backup", choose_target(arguments, env), env), flush=True)
    return 0


def choose_target(arguments: Sequence[str], env: Mapping[str, str]) -> str:
    """Return the target of the backup: a path on this machine, or for SQL Server a path on the server or a URL."""
    if not odbc.is_sqlserver(env) and not any(arguments):
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        return str(FOLDER / f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}.sqlite3")
    return named_file(arguments, env)


def named_file(arguments: Sequence[str], env: Mapping[str, str]) -> str:
    """Return the path or URL in FILE; raises CommandError if it is unset."""
    if not any(arguments):
        place = "a path or URL for SQL Server" if odbc.is_sqlserver(env) else "the backup to restore"
        raise CommandError(f"FILE: name {place}, as in FILE=…")
    return arguments[0] if odbc.is_sqlserver(env) else str(Path.cwd() / arguments[0])


def manage(command: str, argument: str, env: dict[str, str]) -> str:
    """Run a manage.py command as the user in DATABASE_URL, and return its output; raises CommandError."""
    if odbc.is_sqlserver(env):
        odbc.register_driver(env)
    done = subprocess.run(
        [f"{env['ENVIRONMENTS']}/tasks/bin/python", "manage.py", command, argument],
        cwd=CHECKOUT / "services/tasks",
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandError(last_line(done.stderr))
    return done.stdout.strip()
