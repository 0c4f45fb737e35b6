"""A node is killed, releases are rolled out and back, a service is scaled: all under a load of reads and writes."""

import json
import re
import time
from collections import Counter

import requests

from support.commands import program
from support.swarm import NODES, REPLICAS, Swarm, rig
from support.waiting import wait_until

from .conftest import User
from .load import load

GETS_FAIL_FOR_SECONDS = 3
BACK_WITHIN_SECONDS = 60
WORKING = ("auth", "tasks", "scheduler", "worker", "sender", "relay")


def test_every_part_runs_and_every_node_answers(swarm: Swarm) -> None:
    swarm.wait_for_replicas(timeout=10)
    assert all(map(swarm.is_ready, NODES))
    # The two tasks of a service are on different nodes.
    for part in WORKING:
        assert len(set(swarm.nodes_of(part))) == REPLICAS[part], part
    assert sorted(swarm.nodes_of("gateway")) == [*NODES]


def test_each_node_tells_its_gateways_connections_and_own_responses(swarm: Swarm) -> None:
    def node_metrics() -> dict[str, dict[str, str]]:
        """Return the gateway's metrics on each node, by address."""
        read = ("python", *program("containers/read_metrics"), "metrics", "/gateway")
        served = json.loads(swarm.execute_task("metrics", *read))
        return {each: dict(re.findall(r"^([^# ].*) (\S+)$", text, re.MULTILINE)) for each, text in served.items()}

    def refused() -> dict[str, float]:
        name = 'gateway_responses_total{http_response_status_code="404",limit="none"}'
        return {each: float(metrics.get(name, 0)) for each, metrics in node_metrics().items()}

    before = refused()
    for node in NODES:
        for _ in range(node):
            assert requests.get(f"{swarm.addresses[node]}/nowhere", timeout=10).status_code == 404

    def counted() -> list[float]:
        return sorted(count - before[each] for each, count in refused().items())

    wait_until(lambda: counted() == [*NODES], timeout=10, what=lambda: f"{counted()} is {[*NODES]}")
    assert all("gateway_connections" in metrics for metrics in node_metrics().values())


def test_secrets_are_files_that_nothing_else_shows(swarm: Swarm) -> None:
    assert swarm.execute_task("auth", "cat", "/run/secrets/AUTH_SECRET_KEY") == swarm.env["AUTH_SECRET_KEY"]
    shown = swarm.docker("service", "inspect", *map(swarm.service, REPLICAS)) + swarm.docker("secret", "ls")
    assert not [
        name for name, value in swarm.env.items() if name.endswith(("_KEY", "_KEYS", "PASSWORD")) and value in shown
    ]


def test_a_killed_node_costs_no_get_after_3_s_and_no_acknowledged_write(swarm: Swarm, user: User) -> None:
    # The node of Redis, unless it is the first, which is this machine's engine.
    victim = next((node for part in ("redis", "beat") for node in swarm.nodes_of(part) if node != 1), NODES[-1])
    lost = [part for part in REPLICAS if victim in swarm.nodes_of(part)]
    living = [swarm.addresses[node] for node in NODES if node != victim]
    left = {"gateway": len(living), "metrics": len(living)}
    survivors = {task["ID"] for part in WORKING for task in swarm.tasks(part) if swarm.place(task)[0] != victim}
    try:
        with load(living, user.headers) as seen:
            time.sleep(2)
            rig("kill", str(victim))
            killed = time.monotonic()
            swarm.wait_for_replicas(but_on=victim, timeout=BACK_WITHIN_SECONDS, **left)
            back = time.monotonic() - killed
            wait_until(lambda: swarm.is_ready(1), timeout=90, what="/readyz is 200")
            ready = time.monotonic() - killed
        failed = [round(each.at - killed, 1) for each in seen.failed_gets()]
        print(f"lost {lost}; all back after {back:.0f} s, ready after {ready:.0f} s; {seen}; failed GETs at {failed}")
        # No task that only waited for Redis was replaced.
        assert survivors <= {task["ID"] for part in WORKING for task in swarm.tasks(part)}
        assert len(seen.gets) > 200
        assert not seen.failed_gets(since=killed + GETS_FAIL_FOR_SECONDS)
        assert len(seen.acknowledged) > 50
        user.assert_nothing_lost_or_doubled(seen.acknowledged)
    finally:
        rig("back", str(victim))
        swarm.wait_for_managers()
    swarm.wait_for_replicas(timeout=60)
    wait_until(lambda: swarm.is_ready(victim), timeout=60, what="the restarted node responds")


def test_a_release_is_rolled_out_without_a_failed_get_and_a_broken_one_rolled_back(swarm: Swarm, user: User) -> None:
    for part in ("auth", "tasks", "scheduler", "gateway"):
        for node in NODES:
            for tag in ("second", "broken"):
                swarm.docker("tag", swarm.image(part), swarm.image(part, tag), node=node)
    for node in NODES:
        # An image that runs but is never ready.
        broken = f'FROM {swarm.image("tasks")}\nCMD ["sleep", "600"]\n'
        container = swarm.docker("create", swarm.image("tasks"), node=node).strip()
        swarm.docker("commit", "--change", broken.splitlines()[1], container, swarm.image("tasks", "broken"), node=node)
        swarm.docker("rm", container, node=node)

    with load([swarm.addresses[1]], user.headers) as seen:
        swarm.docker("service", "update", "--image", swarm.image("tasks", "second"), "--no-resolve-image",
                     "--detach=false", "--quiet", swarm.service("tasks"))  # fmt: skip
        time.sleep(2)
    print(f"rolling update of tasks: {seen}")
    assert swarm.update_state("tasks") == "completed"
    assert not seen.failed_gets()
    assert len(seen.acknowledged) > 50
    user.assert_nothing_lost_or_doubled(seen.acknowledged)

    with load([swarm.addresses[1]], user.headers) as seen:
        started = time.monotonic()
        swarm.docker("service", "update", "--image", swarm.image("tasks", "broken"), "--no-resolve-image",
                     "--detach", swarm.service("tasks"))  # fmt: skip
        wait_until(lambda: swarm.update_state("tasks") == "rollback_completed", timeout=150, interval=0.5)
        took = time.monotonic() - started
        # As an operator who deploys during a rollback would see it.
        time.sleep(1)
    print(f"broken image: rolled back by itself after {took:.0f} s; {seen}")
    spec = swarm.inspect_service("tasks")["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert spec["Image"] == swarm.image("tasks", "second")
    assert not seen.failed_gets()
    user.assert_nothing_lost_or_doubled(seen.acknowledged)


def test_six_tasks_are_spread_over_the_nodes_and_all_get_requests(swarm: Swarm, user: User) -> None:
    with load([swarm.addresses[node] for node in NODES], user.headers) as seen:
        swarm.docker("service", "scale", f"{swarm.service('tasks')}=6")
        swarm.wait_for_replicas(timeout=60, tasks=6)
        time.sleep(4)
    print(f"scaled to 6: {seen}")
    assert Counter(swarm.nodes_of("tasks")) == dict.fromkeys(NODES, 2)
    served = {
        task["Name"]: sum('"path":"/api/tasks"' in line for line in swarm.task_log(task, since="20s"))
        for task in swarm.tasks("tasks")
    }
    assert len(served) == 6
    assert all(served.values()), served
    assert not seen.failed_gets()
    user.assert_nothing_lost_or_doubled(seen.acknowledged)
    swarm.docker("service", "scale", f"{swarm.service('tasks')}=2")
