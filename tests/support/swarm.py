"""The stack on a Docker Swarm of three nodes on this machine, each an engine with its own address."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from support.compose import IMAGES, Project
from support.paths import CHECKOUT
from support.waiting import wait_until

# The script that creates and kills the nodes; .ci/run documents its path.
RIG = os.environ.get("SWARM_NODES", "../shared/tools/swarm-nodes")
NODES = (1, 2, 3)
NETWORK = "172.30.99"
# This machine's address, from which clients reach each node.
FIRST_ADDRESS = f"{NETWORK}.1"
OVERLAY = "tests/swarm/sqlite.yaml"
# The number of tasks of each part, except one-shots.
REPLICAS = dict.fromkeys(("auth", "tasks", "scheduler", "worker", "sender", "relay"), 2) | {
    "gateway": len(NODES),
    "metrics": len(NODES),
    "beat": 1,
    "redis": 1,
}


def rig(*arguments: str) -> None:
    """Run a command of the script; fail with its output if it fails."""
    done = subprocess.run([RIG, *arguments], cwd=CHECKOUT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"


@contextmanager
def forwarding() -> Iterator[None]:
    """Let the further nodes reach each other: the engine's firewall also drops packets that cross their bridge."""
    rule = ("DOCKER-USER", "--in-interface", "br-swarm", "--out-interface", "br-swarm", "--jump", "ACCEPT")
    subprocess.run(["iptables", "--insert", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "--delete", *rule], check=True)


class Swarm(Project):
    """One stack on the nodes with its own secrets. Project's methods that use Compose do not apply."""

    def __init__(self, data: Path) -> None:
        super().__init__()
        self.data = data
        self.addresses = {node: f"http://{NETWORK}.{node}:{self.port}" for node in NODES}
        self.url = self.addresses[1]
        self.env |= {"SWARM_DATA": str(data), "IMAGE_PREFIX": f"{self.name}-", "IMAGE_TAG": "first"}

    def docker(self, *arguments: str, node: int = 1, check: bool = True) -> str:
        """Run docker against the node's engine."""
        host = {} if node == 1 else {"DOCKER_HOST": f"unix:///run/swarm-nodes/{node}/docker.sock"}
        return self.run("docker", *arguments, check=check, **host)

    def up(self, *, check: bool = True, **env: str) -> str:
        return self.run("make", "swarm-up", f"OVERLAYS={OVERLAY}", check=check, **env)

    def image(self, part: str, tag: str = "first") -> str:
        return f"{self.name}-{part}:{tag}"

    def service(self, part: str) -> str:
        return f"{self.name}_{part}"

    def tasks(self, part: str) -> list[dict[str, str]]:
        """Return the part's running tasks, with docker's field names."""
        lines = self.docker(
            *("service", "ps", "--no-trunc", "--format", "{{json .}}", "--filter", "desired-state=running"),
            self.service(part),
        ).splitlines()
        return [task for line in lines if (task := json.loads(line))["CurrentState"].startswith("Running ")]

    def nodes_of(self, part: str) -> list[int]:
        """Return the nodes of the part's running tasks."""
        return [self.place(task)[0] for task in self.tasks(part)]

    def place(self, task: dict[str, str]) -> tuple[int, str]:
        """Return the task's node and the name of its container there."""
        # The first node has this machine's host name.
        number = task["Node"].removeprefix("node")
        return int(number) if number.isdecimal() else 1, f"{task['Name']}.{task['ID']}"

    def inspect_service(self, part: str) -> dict[str, Any]:
        [described] = json.loads(self.docker("service", "inspect", self.service(part)))
        return dict(described)

    def update_state(self, part: str) -> str:
        """Return the state of the service's last update: "updating", "completed", "rollback_completed"."""
        return str((self.inspect_service(part).get("UpdateStatus") or {}).get("State", ""))

    def wait_for_replicas(self, *, but_on: int | None = None, timeout: float, **counts: int) -> None:
        """Wait until the expected number of tasks of each part runs, not counting those on node ``but_on``."""
        wanted = {**REPLICAS, **counts}

        def running() -> dict[str, int]:
            return {part: sum(node != but_on for node in self.nodes_of(part)) for part in wanted}

        wait_until(
            lambda: running() == wanted, timeout=timeout, interval=0.5, what=lambda: f"{wanted}; running {running()}"
        )

    def wait_for_managers(self, *, timeout: float = 90) -> None:
        """Wait until all managers have followed one leader for five seconds.

        A manager that has restarted hears from no leader until the leader reconnects to it, which takes up to half a
        minute. It therefore calls an election, and the Swarm has no leader for another half minute: running tasks
        continue, but nothing can be changed.
        """
        followed_since = time.monotonic()

        def settled() -> bool:
            nonlocal followed_since
            found = self.docker("node", "ls", "--format", "{{.ManagerStatus}}", check=False).split()
            if sorted(found) != ["Leader"] + ["Reachable"] * (len(NODES) - 1):
                followed_since = time.monotonic()
            return time.monotonic() - followed_since > 5

        wait_until(settled, timeout=timeout, interval=0.5, what="the managers follow one leader")

    def execute_task(self, part: str, *command: str) -> str:
        """Run a command in a container of the part, on any node."""
        [task, *_] = self.tasks(part)
        node, container = self.place(task)
        return self.docker("exec", container, *command, node=node)

    @contextmanager
    def frozen(self, service: str) -> Iterator[None]:
        [task] = self.tasks(service)
        node, container = self.place(task)
        self.docker("pause", container, node=node)
        try:
            yield
        finally:
            self.docker("unpause", container, node=node)

    def log(self, *services: str, since: float = 0) -> list[str]:
        return [line for name in services or REPLICAS for task in self.tasks(name) for line in self.task_log(task)]

    def task_log(self, task: dict[str, str], *, since: str = "0") -> list[str]:
        # `docker service logs` may wait indefinitely for a task that was lost with its node.
        node, container = self.place(task)
        return self.docker("logs", "--since", since, container, node=node).splitlines()

    def is_ready(self, node: int) -> bool:
        try:
            return requests.get(f"{self.addresses[node]}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False


@contextmanager
def running_swarm() -> Iterator[Swarm]:
    """Create the nodes, build the images, start the stack with `make swarm-up`; remove everything at the end."""
    with tempfile.TemporaryDirectory(prefix="swarm-") as folder:
        # The services' user must be able to traverse it.
        Path(folder).chmod(0o755)
        data = Path(folder, "data")
        data.mkdir()
        os.chown(data, 10001, 10001)
        swarm = Swarm(data)
        try:
            rig("up", str(len(NODES) - 1))
            with forwarding():
                swarm.run("make", "swarm-images")
                rig("load", *map(swarm.image, IMAGES), "redis:8")
                swarm.start_output = swarm.up()
                yield swarm
                swarm.run("make", "swarm-down")
        finally:
            rig("down")
            swarm.docker("volume", "rm", "--force", f"{swarm.name}_redis", f"{swarm.name}_gateway-metrics")
            # By name: by id, an image cannot be removed before the images that were built from it.
            names = "{{.Repository}}:{{.Tag}}"
            images = swarm.docker("images", "--format", names, "--filter", f"reference={swarm.name}-*").split()
            if images:
                swarm.docker("rmi", *images)
