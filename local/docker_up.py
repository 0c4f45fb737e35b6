"""`make docker-up`: build and start the stack in containers, and return when it is ready."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from datetime import datetime

from local import environment, settings
from local.environment import CHECKOUT, REDIS_URL_VARIABLES, URL_VARIABLES
from local.errors import CommandError
from local.network import get_readyz, ready_text

READY_WITHIN_SECONDS = 120
READERS = ("redis", "auth", "tasks", "scheduler", "worker", "sender", "beat", "relay", "admin")
ONE_SHOTS = ("secrets", "auth-migrate", "tasks-migrate", "scheduler-migrate")


def main(arguments: list[str]) -> int:
    """Start the stack."""
    # Creates a missing .env. Compose reads that itself, and must not get the defaults of `make up`.
    env = environment.load(log_format="json")
    port = settings.port("GATEWAY_PORT", env["GATEWAY_PORT"])
    refuse_files(env)
    settings.listen(env["GATEWAY_ADDRESS"], port)
    if ":" in env["GATEWAY_ADDRESS"]:
        os.environ["GATEWAY_ADDRESS"] = "[::]"
    if env.get("TLS_CERTIFICATE_FILE"):
        os.environ.setdefault("COMPOSE_FILE", "docker-compose.yaml:docker-compose.tls.yaml")
    os.environ.update(
        TRUSTED_PROXIES=",".join(settings.trusted_proxies(env["TRUSTED_PROXIES"])),
        AUTH_RATE_LIMIT=settings.count("AUTH_RATE_LIMIT", env["AUTH_RATE_LIMIT"]),
        CONNECTIONS_PER_ADDRESS=settings.connections_per_address(env["CONNECTIONS_PER_ADDRESS"]),
        CORS_ORIGINS=settings.cors_origins(env["CORS_ORIGINS"]),
        LOG_FORMAT=settings.log_format(env["LOG_FORMAT"]),
    )
    # The services' logins in .env do not apply to a database or Redis that the shell names. Empty counts as unset.
    os.environ.update({name: "" for name in URL_VARIABLES + REDIS_URL_VARIABLES if name not in env})
    docker = find_docker()
    keep_admin(docker)
    start(docker)
    wait_until_ready(port)
    print(ready_text(env, stop="make docker-down (the volumes with the data stay)"))
    return 0


def refuse_files(env: Iterable[str]) -> None:
    """Raise CommandError if a setting is given as a file."""
    for name in env:
        if name.endswith(("KEYS_FILE", "KEY_FILE", "URL_FILE")) and name != "TLS_KEY_FILE":
            value = name.removesuffix("_FILE")
            raise CommandError(f"{name}: is not for containers; set {value}, which they receive as a file")


def find_docker() -> str:
    """Return the path of docker; raises CommandError if docker or its Compose plugin is missing."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        raise CommandError("docker compose is missing: install Docker with its Compose plugin")
    return docker


def keep_admin(docker: str) -> None:
    """Also update a running admin: Compose skips services whose profile is not active."""
    if "admin" in _quietly(docker, "ps", "--format", "{{.Service}}").split():
        # Compose uses the value of the shell or that of .env, not both.
        profiles = os.environ.get("COMPOSE_PROFILES") or environment.written(os.environ).get("COMPOSE_PROFILES")
        os.environ["COMPOSE_PROFILES"] = ",".join(filter(None, (profiles, "admin")))


def start(docker: str) -> None:
    """Build and start the containers, and restart those whose secrets have changed."""
    # The container that hands out the secrets gets them when it is created, so an existing one would have old ones.
    _quietly(docker, "rm", "--force", "--stop", "--volumes", "secrets")
    if subprocess.run([docker, "compose", "up", "--build", "--detach"], cwd=CHECKOUT, check=False).returncode:
        raise CommandError(_failure_reason(docker))
    changed = 0.0
    for line in _quietly(docker, "logs", "--no-color", "--no-log-prefix", "secrets").splitlines():
        if found := re.fullmatch(r"changed at (\d+): (\S+)", line):
            # Services re-read the token keys by themselves, and everything else only when they start.
            changed = max(changed, float(found[1]) if not found[2].endswith("/JWT_KEYS") else 0)
        else:
            print(line)
    if any(started < changed for started in _started(docker)):
        print("secrets have changed; restarting the containers that read them")
        _quietly(docker, "restart", *_readers(docker))


def _failure_reason(docker: str) -> str:
    """Return the last log line of the one-shot container that failed, if any; Compose has reported other failures."""
    listed = _quietly(docker, "ps", "--all", "--format", "{{.Service}} {{.ExitCode}}").splitlines()
    for service, code in (line.split() for line in listed):
        if service in ONE_SHOTS and code != "0":
            line = _quietly(docker, "logs", "--no-color", "--no-log-prefix", "--tail", "1", service).strip()
            return f"{service}: {line}"
    return "docker compose up failed; see its output above"


def _readers(docker: str) -> list[str]:
    return [service for service in _quietly(docker, "config", "--services").split() if service in READERS]


def _started(docker: str) -> list[float]:
    """Return when the containers that read secrets were started (Unix time)."""
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
        raise CommandError(f"docker compose {arguments[0]} failed: {done.stderr.strip()}")
    # Some versions erase the line before they write it, even without a terminal.
    return done.stdout.replace("\x1b[2K", "")


def wait_until_ready(port: int) -> None:
    """Wait until the gateway reports that everything is ready; raises CommandError if that takes too long."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    status, response = get_readyz(port)
    while status != 200:
        if time.monotonic() > deadline:
            raise CommandError(f"not ready after {READY_WITHIN_SECONDS} s; /readyz returned {response}")
        time.sleep(0.5)
        status, response = get_readyz(port)
