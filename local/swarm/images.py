"""`make swarm-images`: build the images, and push them where IMAGE_PREFIX names a registry."""

import subprocess

from local import environment
from local.environment import CHECKOUT
from local.errors import CommandError
from local.swarm.files import compose_arguments, merged, registry_of


def main(arguments: list[str]) -> int:
    """Build and push them."""
    environment.load(log_format="json")
    push = ["--push"] if registry_of(merged()) else []
    command = ["docker", "compose", *compose_arguments(), "build", *push]
    if subprocess.run(command, cwd=CHECKOUT, check=False).returncode:
        raise CommandError("docker compose build failed, as it says above")
    return 0
