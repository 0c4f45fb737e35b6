"""`make swarm-images`: build the images, and push them if IMAGE_PREFIX names a registry."""

import subprocess

from local import environment
from local.environment import CHECKOUT
from local.errors import CommandError
from local.swarm.files import compose_arguments, merged, registry_of


def main(arguments: list[str]) -> int:
    """Build and push the images."""
    environment.load(log_format="json")
    push = ["--push"] if registry_of(merged()) else []
    command = ["docker", "compose", *compose_arguments(), "build", *push]
    if subprocess.run(command, cwd=CHECKOUT, check=False).returncode:
        raise CommandError("docker compose build failed; see its output above")
    return 0
