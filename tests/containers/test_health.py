"""The containers' health checks test that a part works, not only that its process runs."""

import time

from support.compose import PARTS, Project
from support.waiting import wait_until

from .conftest import Client, probe


def test_every_part_becomes_healthy(project: Project) -> None:
    for part in PARTS:
        # Beat's first tick comes within a minute.
        wait_until(lambda part=part: project.health(part) == "healthy", timeout=75, what=part)


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
    # All of its processes except Docker's init.
    project.run("docker", "exec", container, "sh", "-c", "kill -STOP -1")
    try:
        # The check allows 60 s of silence, since each pool process may be busy with a run.
        wait_until(lambda: probe(project, "worker"), timeout=75, what="the worker's check fails")
    finally:
        project.run("docker", "exec", container, "sh", "-c", "kill -CONT -1")
    wait_until(lambda: probe(project, "worker") == 0, timeout=10, what="the worker's check passes")


def test_without_redis_worker_and_scheduler_say_so_and_the_others_work(project: Project, client: Client) -> None:
    with project.frozen("redis"):
        assert probe(project, "worker") == 1
        assert probe(project, "scheduler") == 1
        assert probe(project, "tasks") == 0
        assert client.create("while Redis is frozen").status_code == 201
    wait_until(lambda: probe(project, "worker") == 0, timeout=15, what="the worker's check passes")
    project.wait_until_ready()
