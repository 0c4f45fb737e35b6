"""`make docker-backup`: `make backup` for the stack in containers."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from local import environment, odbc
from local.backup import choose_target
from local.docker_up import find_docker, refuse_files
from local.environment import CHECKOUT
from local.errors import CommandError
from local.output import last_line

# This container has the database's volume and DATABASE_URL, and needs no running stack.
CONTAINER = "tasks-migrate"


def main(arguments: list[str]) -> int:
    """Back up to the named file, or to a new one in backups/."""
    env = environment.load()
    refuse_files(env)
    target = choose_target(arguments, env)
    docker = find_docker()
    if odbc.is_sqlserver(env):
        print(manage(docker, "backup", target))
        return 0
    path = Path(target)
    if path.exists():
        raise CommandError(f"{path} exists already; name another file")
    with _new_file(path) as file:
        manage(docker, "backup", "-", stdout=file)
    print(f"backup: {path} ({path.stat().st_size:,} bytes)")
    return 0


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file, readable by its owner only, that is renamed to ``path`` when complete and deleted on an error."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix="backup.", delete=False) as file:
            try:
                yield file
                Path(file.name).rename(path)
            except BaseException:
                Path(file.name).unlink()
                raise
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None


def manage(
    docker: str, command: str, argument: str, *, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
) -> str:
    """Run a manage.py command in a new container, and return its output; raises CommandError."""
    done = subprocess.run(
        [
            docker,
            "compose",
            "run",
            "--rm",
            "--no-deps",
            "--no-TTY",
            CONTAINER,
            "python",
            "manage.py",
            command,
            argument,
        ],
        cwd=CHECKOUT,
        stdin=stdin or subprocess.DEVNULL,
        stdout=stdout or subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise CommandError(last_line(done.stderr.decode(errors="replace")))
    return (done.stdout or b"").decode().strip()
