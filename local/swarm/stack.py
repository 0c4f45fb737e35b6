"""Pure functions that turn the output of `docker compose config` into the input of `docker stack deploy`."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, NamedTuple

Document = dict[str, Any]

# Keys that a Swarm handles differently or not at all, and those that only matter for building.
LEFT_OUT = (
    "build",
    "depends_on",
    "extra_hosts",
    "mem_limit",
    "pids_limit",
    "pull_policy",
    "restart",
    "security_opt",
    "tmpfs",
)
# The one-shot container that hands out the secrets. Its list says which service gets which; a Swarm does the rest.
SECRETS_SERVICE = "secrets"


class Secret(NamedTuple):
    """A Swarm secret. Its name changes with its value, since a Swarm's secrets are immutable."""

    name: str
    value: str


def secrets_of(config: Document, *, key: bytes) -> dict[str, Secret]:
    """Return the secrets by their names in the Compose file.

    The digest in a name is keyed, so that it cannot be used to test guessed values.
    """

    def secret(source: str, content: str) -> Secret:
        value = content.replace("$$", "$")
        digest = hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:12]
        return Secret(f"{config['name']}-{source}-{digest}", value)

    return {source: secret(source, entry["content"]) for source, entry in config["configs"].items()}


def stack_of(config: Document, secrets: Mapping[str, Secret]) -> Document:
    """Return the whole stack: services, networks, volumes, and references to the existing secrets."""
    files = [(entry["source"], entry["target"]) for entry in config["services"][SECRETS_SERVICE]["configs"]]
    # Only services in deploy/swarm/stack.yaml run on a Swarm.
    named = {name: service for name, service in config["services"].items() if "deploy" in service}
    services = {name: _service(service, files=files) for name, service in named.items()}
    used = {secret["source"] for service in services.values() for secret in service["secrets"]}
    volumes = {volume["source"] for service in services.values() for volume in service["volumes"] if "source" in volume}
    return {
        "version": "3.13",
        "services": services,
        "networks": {name: _without(network, "name", "ipam") for name, network in config["networks"].items()},
        "volumes": {name: {} for name in config["volumes"] if name in volumes},
        "secrets": {source: {"external": True, "name": secrets[source].name} for source in sorted(used)},
    }


def only(stack: Document, name: str) -> Document:
    """Return the stack with only this service and its secrets."""
    service = stack["services"][name]
    used = {secret["source"] for secret in service["secrets"]}
    return {
        **stack,
        "services": {name: service},
        "secrets": {source: secret for source, secret in stack["secrets"].items() if source in used},
    }


def jobs_of(stack: Document) -> list[str]:
    """Return the services that run once, in the order in which they must run."""
    return [name for name in ("auth-migrate", "tasks-migrate", "scheduler-migrate") if _is_job(stack["services"][name])]


def without_jobs(stack: Document) -> Document:
    """Return the stack without the services that run once."""
    return {**stack, "services": {name: each for name, each in stack["services"].items() if not _is_job(each)}}


def _is_job(service: Document) -> bool:
    mode: str = service["deploy"]["mode"]
    return mode.endswith("-job")


def _service(service: Document, *, files: list[tuple[str, str]]) -> Document:
    mounts = service.get("volumes", [])
    mounted = {mount["source"].removesuffix("-secrets"): mount["target"] for mount in mounts if _has_secrets(mount)}
    return {
        **{name: value for name, value in service.items() if name not in LEFT_OUT and value is not None},
        "deploy": _deploy(service),
        "secrets": [_mount(source, target, mounted=mounted) for source, target in files if _owner(target) in mounted],
        # A Swarm's tmpfs is world-writable and does not get the size and owner that Compose sets.
        "volumes": [
            *(_without(mount, "volume", "bind") for mount in mounts if not _has_secrets(mount)),
            *({"type": "tmpfs", "target": each.partition(":")[0]} for each in service.get("tmpfs", [])),
        ],
        "ports": [{**port, "published": int(port["published"])} for port in service.get("ports", [])],
    }


def _deploy(service: Document) -> Document:
    deploy: Document = {"mode": "replicated", **service["deploy"]}
    limits = {"memory": service["mem_limit"], "pids": service["pids_limit"]}
    return {**deploy, "resources": {**deploy["resources"], "limits": limits}}


def _has_secrets(mount: Document) -> bool:
    return bool(mount["type"] == "volume" and mount["source"].endswith("-secrets"))


def _owner(target: str) -> str:
    """Return the owner of a file of the one-shot container: /in/auth/JWT_KEYS belongs to auth."""
    return target.split("/")[2]


def _mount(source: str, target: str, *, mounted: Mapping[str, str]) -> Document:
    return {"source": source, "target": f"{mounted[_owner(target)]}/{target.rpartition('/')[2]}", "mode": 0o444}


def _without(mapping: Document, *names: str) -> Document:
    return {name: value for name, value in mapping.items() if name not in names}
