"""The commands of docs/operations.md, run in a shell with the project's name."""

import pytest

from docs.documents import Command, commands
from support.compose import Project
from support.paths import CHECKOUT
from support.waiting import wait_until

from .conftest import Client, load, reads

# The reason that docs/operations.md gives for commands that are run only here.
HERE = "it needs the containers; tests/containers runs it"
COMMANDS = [command for command in commands(CHECKOUT / "docs/operations.md") if command.skip_reason == HERE]


def test_the_document_is_read() -> None:
    text = "".join(command.text for command in COMMANDS)
    assert "--scale tasks=3" in text
    assert "--force-recreate" in text
    assert "run --rm --no-deps auth-migrate" in text


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_does_what_it_should_and_all_is_well_afterwards(
    project: Project, client: Client, command: Command
) -> None:
    upgrade = "auth-migrate" in command.text
    if upgrade:
        # Any changed setting creates new containers, as a new version does.
        project.env |= {"WEB_THREADS": "3", "AUTH_WEB_THREADS": "6"}
    before = project.containers("auth", "tasks", "scheduler")
    title = f"before {command}"
    assert client.create(title).status_code == 201
    with load(reads(client), clients=1) as seen:
        project.run("bash", "-euo", "pipefail", "-c", command.text)
    print(f"{command}: {seen}")
    if upgrade or "--force-recreate" in command.text:
        assert not set(before) & set(project.containers())
    if upgrade:
        assert seen.statuses[200] > 100
        assert set(seen.statuses) <= {200, 502, 503, 504}
    if "--scale" in command.text:
        assert set(seen.statuses) == {200}
        assert [len(project.containers(part)) for part in ("auth", "tasks", "worker")] == [2, 3, 2]
        one_of_each = [word for part in ("auth", "tasks", "worker") for word in ("--scale", f"{part}=1")]
        project.compose("up", "--detach", "--no-recreate", *one_of_each)
    project.wait_until_ready()
    wait_until(lambda: project.health("worker") == "healthy", timeout=40, what="the worker is healthy")
    assert title in client.titles()
