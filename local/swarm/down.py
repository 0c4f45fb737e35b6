"""`make swarm-down`: remove the stack from the Swarm, with its secrets; the volumes stay on their nodes."""

import time

from local import environment
from local.errors import CommandError
from local.swarm.engine import NAMESPACE, docker, refuse_other_engines
from local.swarm.files import merged

GONE_WITHIN_SECONDS = 120


def main(arguments: list[str]) -> int:
    """Remove it, and return when its networks are gone, which its tasks hold as long as they run."""
    environment.load(log_format="json")
    refuse_other_engines()
    stack = merged()["name"]
    docker("stack", "rm", stack)
    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    while docker("network", "ls", "--quiet", "--filter", f"label={NAMESPACE}={stack}").strip():
        if time.monotonic() > deadline:
            raise CommandError(f"its networks are still in use after {GONE_WITHIN_SECONDS} s")
        time.sleep(0.5)
    return 0
