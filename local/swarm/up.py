"""`make swarm-up`: deploy the stack of the Compose files and .env on the Swarm, and return when it is ready."""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress

from local import environment, settings
from local.docker_up import refuse_files, wait_until_ready
from local.environment import URL_VARIABLES
from local.errors import CommandError
from local.network import ready_text
from local.swarm.engine import NAMESPACE, docker, last_log_line, refuse_other_engines, replicas, services, tasks
from local.swarm.files import merged, registry_of
from local.swarm.stack import Document, Secret, jobs_of, only, secrets_of, stack_of, without_jobs

MIGRATED_WITHIN_SECONDS = 600
SETTLED_WITHIN_SECONDS = 900


def main(arguments: list[str]) -> int:
    """Deploy the stack. The arguments are further Compose files, merged over the standard two."""
    env = environment.load(log_format="json")
    port = settings.port("GATEWAY_PORT", env["GATEWAY_PORT"])
    refuse_files(env)
    refuse_other_engines()
    prepare(env)
    config = merged(*arguments)
    secrets = secrets_of(config, key=env["AUTH_SECRET_KEY"].encode())
    refuse_sqlite(config, secrets)
    stack, registry = stack_of(config, secrets), registry_of(config)
    create_secrets(config["name"], secrets)
    for job in jobs_of(stack):
        migrate(config["name"], job, only(stack, job), registry=registry)
    deploy(config["name"], without_jobs(stack), registry=registry)
    wait_until_settled(config["name"])
    wait_until_ready(port)
    # The gateway of a Swarm has no certificate; a proxy in front of it may.
    print(ready_text({**env, "TLS_CERTIFICATE_FILE": ""}, stop="make swarm-down"))
    return 0


def prepare(env: Mapping[str, str]) -> None:
    """Export validated settings for Compose, which reads .env itself but does not validate it or know the defaults."""
    os.environ.update(
        AUTH_RATE_LIMIT=settings.count("AUTH_RATE_LIMIT", env["AUTH_RATE_LIMIT"]),
        CONNECTIONS_PER_ADDRESS=settings.connections_per_address(env["CONNECTIONS_PER_ADDRESS"]),
        CORS_ORIGINS=settings.cors_origins(env["CORS_ORIGINS"]),
        LOG_FORMAT=settings.log_format(env["LOG_FORMAT"]),
    )
    # The services' logins in .env do not apply to a database that the shell names. Empty counts as unset.
    os.environ.update({name: "" for name in URL_VARIABLES if name not in env})


def refuse_sqlite(config: Document, secrets: Mapping[str, Secret]) -> None:
    """Raise CommandError for a SQLite file on a volume, since each node has its own volumes."""
    data = [mount for mount in config["services"]["tasks"]["volumes"] if mount["target"] == "/data"]
    if secrets["database-url"].value.startswith("sqlite:") and any(mount["type"] == "volume" for mount in data):
        raise CommandError("DATABASE_URL: a Swarm needs a SQL Server, since each node would have its own SQLite file")


def create_secrets(stack: str, secrets: Mapping[str, Secret]) -> None:
    """Create the secrets that the Swarm does not have yet. Older ones stay, since a rollback needs them."""
    existing = docker("secret", "ls", "--format", "{{.Name}}").split()
    for secret in secrets.values():
        if secret.name not in existing:
            docker("secret", "create", "--label", f"{NAMESPACE}={stack}", secret.name, "-", stdin=secret.value)


def deploy(stack: str, document: Document, *, registry: bool) -> None:
    """Deploy the document on the Swarm, with the credentials of the registry, if any."""
    # Without a registry, tags cannot be resolved.
    resolve = ("--with-registry-auth",) if registry else ("--resolve-image", "never")
    docker("stack", "deploy", *resolve, "--compose-file", "-", stack, stdin=json.dumps(document))


def migrate(stack: str, job: str, document: Document, *, registry: bool) -> None:
    """Run the job and wait until it is done; raises CommandError if it fails, and then the services are unchanged."""
    name = f"{stack}_{job}"
    with suppress(CommandError):
        # A failed job was kept for its log.
        docker("service", "rm", name)
    deploy(stack, document, registry=registry)
    deadline = time.monotonic() + MIGRATED_WITHIN_SECONDS
    while not is_done(states := _states(name)):
        if any(state.startswith(("Failed", "Rejected")) for state in states):
            raise CommandError(f"{job}: {last_log_line(name)}")
        if time.monotonic() > deadline:
            raise CommandError(f"{job}: not done after {MIGRATED_WITHIN_SECONDS} s; its tasks: {states}")
        time.sleep(0.5)
    # Otherwise it may run again: Docker 20.10 has repeated completed jobs after a node had been lost.
    docker("service", "rm", name)


def is_done(states: list[str]) -> bool:
    """Return whether a task of the job has completed."""
    return any(state.startswith("Complete") for state in states)


def _states(service: str) -> list[str]:
    return [task["CurrentState"] for task in tasks(service)]


def wait_until_settled(stack: str) -> None:
    """Wait until every service runs as specified; raises CommandError after a rollback or a timeout."""
    deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
    while waiting := unsettled(stack):
        if time.monotonic() > deadline:
            raise CommandError(f"not settled after {SETTLED_WITHIN_SECONDS} s: {', '.join(waiting)}")
        time.sleep(1)


def unsettled(stack: str) -> list[str]:
    """Return the services that are being updated or lack tasks; raises CommandError if one was rolled back."""
    running = replicas(stack)
    found = []
    for service in services(stack):
        name, update = service["Spec"]["Name"], service.get("UpdateStatus", {}).get("State", "completed")
        if update in ("rollback_completed", "rollback_paused", "paused"):
            raise CommandError(f"{name} was rolled back, and runs as before: {_error_of(name)}")
        there, wanted = running[name].split("/")
        if update != "completed" or there != wanted or wanted == "0":
            found.append(f"{name} {running[name]} {update}")
    return found


def _error_of(service: str) -> str:
    return next((task["Error"] for task in tasks(service) if task["Error"]), "see docker service ps")
