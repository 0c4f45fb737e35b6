"""`make docker-restore`: `make restore` for the stack in containers, which must be stopped."""

import subprocess
from pathlib import Path

from local import environment, odbc
from local.backup import named_file
from local.docker_backup import CONTAINER, manage
from local.docker_up import READERS, find_docker, refuse_files
from local.environment import CHECKOUT
from local.errors import CommandError


def main(arguments: list[str]) -> int:
    """Restore the named file into the volume, or have SQL Server restore it."""
    env = environment.load()
    refuse_files(env)
    source = named_file(arguments, env)
    docker = find_docker()
    running = compose(docker, "ps", "--services", "--status", "running").split()
    if set(running) & set(READERS):
        raise CommandError("the stack is running; stop it first: make docker-down")
    # A new system has neither the image nor the volume with the database's URL.
    compose(docker, "build", CONTAINER.removesuffix("-migrate"))
    compose(docker, "run", "--rm", "--no-deps", "--no-TTY", "secrets")
    if odbc.is_sqlserver(env):
        print(manage(docker, "restore", source))
        return 0
    try:
        with Path(source).open("rb") as file:
            print(manage(docker, "restore", "-", stdin=file))
    except OSError as error:
        raise CommandError(f"{source} cannot be read: {error.strerror}") from None
    return 0


def compose(docker: str, *arguments: str) -> str:
    """Run a Compose command and return its output; raises CommandError with its whole error output."""
    done = subprocess.run(
        [docker, "compose", *arguments], cwd=CHECKOUT, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise CommandError(f"docker compose {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout
