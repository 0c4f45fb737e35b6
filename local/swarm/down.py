"""`make swarm-down`: remove the stack from the Swarm, with its secrets; the volumes stay on their nodes."""

import time

from local import environment
from local.errors import CommandError
from local.swarm.engine import NAMESPACE, docker, refuse_other_engines
from local.swarm.files import merged

REMOVED_WITHIN_SECONDS = 120


def main(arguments: list[str]) -> int:
    """Remove the stack, and return when its networks, which its tasks hold while they run, have been removed."""
    environment.load(log_format="json")
    refuse_other_engines()
    stack = merged()["name"]
    docker("stack", "rm", stack)
    deadline = time.monotonic() + REMOVED_WITHIN_SECONDS
    while docker("network", "ls", "--quiet", "--filter", f"label={NAMESPACE}={stack}").strip():
        if time.monotonic() > deadline:
            raise CommandError(f"the stack's networks are still in use after {REMOVED_WITHIN_SECONDS} s")
        time.sleep(0.5)
    return 0
