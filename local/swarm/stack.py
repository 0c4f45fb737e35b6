"""What `docker stack deploy` takes, made of what `docker compose config` prints. Pure functions."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, NamedTuple

Document = dict[str, Any]

# What a Swarm does otherwise, or not at all, and what is only there to build.
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
# The one-shot container that hands out the secrets. Its list says who gets which; a Swarm does the rest.
HANDS_OUT = "secrets"


class Secret(NamedTuple):
    """A Swarm secret: its name, which changes with its value, since a Swarm's secrets cannot be changed."""

    name: str
    value: str


def secrets_of(config: Document, *, key: bytes) -> dict[str, Secret]:
    """Return the secrets by their names in the Compose file.

    The digest in a name is keyed, so that those who see it cannot try passwords.
    """

    def secret(source: str, content: str) -> Secret:
        value = content.replace("$$", "$")
        digest = hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:12]
        return Secret(f"{config['name']}-{source}-{digest}", value)

    return {source: secret(source, entry["content"]) for source, entry in config["configs"].items()}


def stack_of(config: Document, secrets: Mapping[str, Secret]) -> Document:
    """Return the whole stack: services, networks, and the secrets, which exist already."""
    files = [(entry["source"], entry["target"]) for entry in config["services"][HANDS_OUT]["configs"]]
    # What deploy/swarm/stack.yaml does not name, a Swarm does not have.
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
    """Return the stack with one service and what that needs."""
    service = stack["services"][name]
    used = {secret["source"] for secret in service["secrets"]}
    return {
        **stack,
        "services": {name: service},
        "secrets": {source: secret for source, secret in stack["secrets"].items() if source in used},
    }


def jobs_of(stack: Document) -> list[str]:
    """Return the services that run once, in the order in which they have to."""
    # Each needs what is before it in the file.
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
        # The size and the owner that Compose gives a tmpfs are not for a Swarm's, which is for everybody's files.
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
    """Return whose folder a file of the one-shot's is in: /in/auth/JWT_KEYS is auth's."""
    return target.split("/")[2]


def _mount(source: str, target: str, *, mounted: Mapping[str, str]) -> Document:
    return {"source": source, "target": f"{mounted[_owner(target)]}/{target.rpartition('/')[2]}", "mode": 0o444}


def _without(mapping: Document, *names: str) -> Document:
    return {name: value for name, value in mapping.items() if name not in names}
