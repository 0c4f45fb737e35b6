"""The checks of the containers turn with what they are about, and not only when a process ends."""

import time

from compose import PARTS, Project, wait_for

from .conftest import Client, probe


def test_every_part_becomes_healthy(project: Project) -> None:
    for part in PARTS:
        # Beat's first tick comes within a minute.
        wait_for(lambda part=part: project.health(part) == "healthy" or None, within=75, what=part)


def test_a_check_costs_little(project: Project) -> None:
    for part in PARTS:
        probe(project, part)
        started = time.monotonic()
        probe(project, part)
        seconds = time.monotonic() - started
        print(f"{part}: {seconds:.2f} s, docker exec included")
        assert seconds < 2


def test_a_worker_that_hangs_is_not_healthy(project: Project) -> None:
    assert probe(project, "worker") == 0
    [container] = project.containers("worker")
    # All of its processes but Docker's init.
    project.run("docker", "exec", container, "sh", "-c", "kill -STOP -1")
    try:
        wait_for(lambda: probe(project, "worker") or None, within=25, what="the worker's check fails")
    finally:
        project.run("docker", "exec", container, "sh", "-c", "kill -CONT -1")
    wait_for(lambda: probe(project, "worker") == 0 or None, within=10, what="the worker's check passes")


def test_without_redis_worker_and_scheduler_say_so_and_the_others_work(project: Project, client: Client) -> None:
    with project.frozen("redis"):
        assert probe(project, "worker") == 1
        assert probe(project, "scheduler") == 1
        assert probe(project, "tasks") == 0
        assert client.create("while Redis is frozen").status_code == 201
    wait_for(lambda: probe(project, "worker") == 0 or None, within=15, what="the worker's check passes")
    project.wait_until_ready()
