"""`make backup` and `make restore`: a copy of the database while the stack runs, and a copy in its place."""

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
    """Return where the copy goes: a path of this machine, or on SQL Server the server's path or URL."""
    if not odbc.is_sqlserver(env) and not any(arguments):
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        return str(FOLDER / f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}.sqlite3")
    return named_file(arguments, env)


def named_file(arguments: Sequence[str], env: Mapping[str, str]) -> str:
    """Return what FILE names; raises CommandError where it is unset."""
    if not any(arguments):
        place = "a path or URL of SQL Server's" if odbc.is_sqlserver(env) else "the backup to restore"
        raise CommandError(f"FILE: name {place}, as in FILE=…")
    return arguments[0] if odbc.is_sqlserver(env) else str(Path.cwd() / arguments[0])


def manage(command: str, argument: str, env: dict[str, str]) -> str:
    """Run a command of manage.py as DATABASE_URL's own user, and return what it prints; raises CommandError."""
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
