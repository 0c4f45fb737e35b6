"""`make docker-up`: build and start the stack in containers, and return when it can be used."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import datetime

from environment import CHECKOUT, URL_VARIABLES, StartError, load, port_of
from up import ask_readyz, auth_rate_limit, connections_per_address, cors_origins, log_format, print_ready

READY_WITHIN_SECONDS = 120
READERS = ("redis", "auth", "tasks", "scheduler", "worker", "beat", "admin")
ONE_SHOTS = ("secrets", "auth-migrate", "tasks-migrate", "scheduler-migrate")


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)
    try:
        # Makes .env where it is missing. Compose reads that itself, and must not get our defaults for `make up`.
        env = load(log_format="json")
        port = port_of(env, "GATEWAY_PORT")
        refuse_files(env)
        os.environ.update(
            AUTH_RATE_LIMIT=auth_rate_limit(env),
            CONNECTIONS_PER_ADDRESS=connections_per_address(env),
            CORS_ORIGINS=cors_origins(env),
            LOG_FORMAT=log_format(env),
        )
        # The services' logins in .env do not belong to a database that the shell names. Empty is unset.
        os.environ.update({name: "" for name in URL_VARIABLES if name not in env})
        docker = find_docker()
        keep_admin(docker, env)
        start(docker)
        return wait_until_ready(port)
    except StartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def refuse_files(env: Iterable[str]) -> None:
    for name in env:
        if name.endswith(("KEYS_FILE", "KEY_FILE", "URL_FILE")):
            value = name.removesuffix("_FILE")
            raise StartError(f"{name}: is not for containers; put the value into {value}, of which they get a file")


def find_docker() -> str:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        raise StartError("docker compose is missing: install Docker with its Compose plugin")
    return docker


def keep_admin(docker: str, env: Mapping[str, str]) -> None:
    """Have the admin brought up to date with all else where it runs: Compose leaves alone what only a profile has."""
    if "admin" in _quietly(docker, "ps", "--format", "{{.Service}}").split():
        os.environ["COMPOSE_PROFILES"] = ",".join(filter(None, (env.get("COMPOSE_PROFILES"), "admin")))


def start(docker: str) -> None:
    # The container that hands out the secrets gets them when it is made, so an older one would have older ones.
    _quietly(docker, "rm", "--force", "--stop", "--volumes", "secrets")
    if subprocess.run([docker, "compose", "up", "--build", "--detach"], cwd=CHECKOUT, check=False).returncode:
        raise StartError(_why_not(docker))
    changed = 0.0
    for line in _quietly(docker, "logs", "--no-color", "--no-log-prefix", "secrets").splitlines():
        if found := re.fullmatch(r"changed at (\d+): (\S+)", line):
            # Services read the keys of the tokens again by themselves, and all else when they start.
            changed = max(changed, float(found[1]) if not found[2].endswith("/JWT_KEYS") else 0)
        else:
            print(line)
    if any(started < changed for started in _started(docker)):
        print("secrets have changed, so what reads them starts again")
        _quietly(docker, "restart", *_readers(docker))


def _why_not(docker: str) -> str:
    """The last word of what has failed, if it is one that runs once; else Compose has said it."""
    listed = _quietly(docker, "ps", "--all", "--format", "{{.Service}} {{.ExitCode}}").splitlines()
    for service, code in (line.split() for line in listed):
        if service in ONE_SHOTS and code != "0":
            said = _quietly(docker, "logs", "--no-color", "--no-log-prefix", "--tail", "1", service).strip()
            return f"{service}: {said}"
    return "docker compose up failed, as it says above"


def _readers(docker: str) -> list[str]:
    return [service for service in _quietly(docker, "config", "--services").split() if service in READERS]


def _started(docker: str) -> list[float]:
    """When the containers that read secrets were started (Unix time)."""
    ids = _quietly(docker, "ps", "--quiet", *_readers(docker)).split()
    done = subprocess.run(
        [docker, "inspect", "--format", "{{.State.StartedAt}}", *ids], capture_output=True, text=True, check=True
    )
    return [datetime.fromisoformat(text).timestamp() for text in done.stdout.split()]


def _quietly(docker: str, *arguments: str) -> str:
    done = subprocess.run(
        [docker, "compose", *arguments], cwd=CHECKOUT, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise StartError(f"docker compose {arguments[0]} failed: {done.stderr.strip()}")
    # Some versions erase the line before they write it, also where there is no terminal.
    return done.stdout.replace("\x1b[2K", "")


def wait_until_ready(port: int) -> int:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    status, answer = ask_readyz(port)
    while status != 200:
        if time.monotonic() > deadline:
            print(f"error: not ready after {READY_WITHIN_SECONDS} s; /readyz answers {answer}", file=sys.stderr)
            return 1
        time.sleep(0.5)
        status, answer = ask_readyz(port)
    print_ready(port, stop="make docker-down (the volumes with the data stay)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
