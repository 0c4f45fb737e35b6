"""The Compose files that describe the stack on a Swarm."""

import json
from typing import Any

from local.swarm.engine import docker

FILES = ("docker-compose.yaml", "deploy/swarm/stack.yaml")


def compose_arguments(*further: str) -> list[str]:
    """Return the arguments that make Compose merge the files; the paths in them are relative to the checkout."""
    return ["--project-directory", ".", *(argument for file in (*FILES, *further) for argument in ("--file", file))]


def merged(*further: str) -> dict[str, Any]:
    """Return the files as Compose merges them, with the values in .env."""
    config: dict[str, Any] = json.loads(docker("compose", *compose_arguments(*further), "config", "--format", "json"))
    return config


def registry_of(config: dict[str, Any]) -> bool:
    """Return whether the images are in a registry, from which nodes pull them."""
    return "/" in config["services"]["auth"]["image"]
