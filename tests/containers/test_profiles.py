"""`make docker-profile` draws a flame graph of a service without a restart or more privileges for its container."""

from support.compose import Project
from support.paths import CHECKOUT

from .conftest import Client, load, reads


def test_flame_graph_of_a_service_shows_its_functions(project: Project, client: Client) -> None:
    before = project.inspect(*project.containers("tasks"))

    with load(reads(client)) as seen:
        output = project.run("make", "docker-profile", "SERVICE=tasks", "SECONDS=3")

    graph = CHECKOUT / output.splitlines()[-1].removeprefix("profile: ").partition(" ")[0]
    drawn = graph.read_text()
    graph.unlink()
    assert drawn.rstrip().endswith("</svg>")
    assert "servicekit/http/wsgi.py" in drawn
    assert set(seen.statuses) == {200}
    assert not seen.broken
    after = project.inspect(*project.containers("tasks"))
    assert [each["State"]["StartedAt"] for each in after] == [each["State"]["StartedAt"] for each in before]
    assert [each["HostConfig"]["CapAdd"] for each in after] == [None]


def test_part_that_is_not_there_is_one_line(project: Project) -> None:
    output = project.run("make", "docker-profile", "SERVICE=admin", check=False)
    assert "error: SERVICE: must be one of auth, tasks, " in output
