"""Docker commands that inspect the Swarm."""

import json
import shutil
import subprocess
from typing import Any

from local.environment import CHECKOUT
from local.errors import CommandError
from local.output import last_line

NAMESPACE = "com.docker.stack.namespace"


def docker(*arguments: str, stdin: str | None = None) -> str:
    """Run docker and return its output; raises CommandError with the last line of its error output."""
    program = shutil.which("docker")
    if program is None:
        raise CommandError("docker is missing: install Docker with its Compose plugin")
    done = subprocess.run(
        [program, *arguments], cwd=CHECKOUT, input=stdin, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise CommandError(f"docker {' '.join(arguments[:2])}: {last_line(done.stderr)}")
    return done.stdout


def refuse_other_engines() -> None:
    """Raise CommandError if docker's engine is not a Swarm manager."""
    if docker("info", "--format", "{{.Swarm.ControlAvailable}}").strip() != "true":
        raise CommandError("this engine is not a Swarm manager: run `docker swarm init`, and see docs/swarm.md")


def services(stack: str) -> list[dict[str, Any]]:
    """Return the stack's services as `docker service inspect` describes them."""
    ids = docker("service", "ls", "--quiet", "--filter", f"label={NAMESPACE}={stack}").split()
    described: list[dict[str, Any]] = json.loads(docker("service", "inspect", *ids)) if ids else []
    return described


def replicas(stack: str) -> dict[str, str]:
    """Return the numbers of running and desired tasks of each service: {"x_auth": "2/2"}."""
    lines = docker(
        "service", "ls", "--filter", f"label={NAMESPACE}={stack}", "--format", "{{.Name}} {{.Replicas}}"
    ).splitlines()
    return {line.split()[0]: line.split()[1] for line in lines}


def tasks(service: str) -> list[dict[str, str]]:
    """Return the service's tasks, newest first, with docker's own field names."""
    lines = docker("service", "ps", "--no-trunc", "--format", "{{json .}}", service).splitlines()
    return [json.loads(line) for line in lines]


def last_log_line(service: str) -> str:
    """Return the last line that the service has printed."""
    return last_line(docker("service", "logs", "--raw", "--no-task-ids", "--tail", "1", service))
