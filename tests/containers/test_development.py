"""The override for working on the code: what is changed in the checkout is served."""

import os
import time

from compose import CHECKOUT, Project, wait_for

from .conftest import Client

FILES = ("--file", "docker-compose.yaml", "--file", "docker-compose.dev.yaml")


def touch(project: Project, path: str, inside: str) -> None:
    """Until the service says so: Django's server answers some time before it begins to watch."""

    def seen() -> bool | None:
        os.utime(CHECKOUT / path)
        time.sleep(1)
        return f"{inside} changed, reloading" in "".join(project.log("tasks")) or None

    wait_for(seen, within=30, what="it starts again")


def test_the_code_is_the_checkouts_and_a_change_starts_it_again(project: Project, client: Client) -> None:
    project.compose(*FILES, "up", "--detach", "auth", "tasks")
    try:
        wait_for(lambda: client.call("GET", "/api/auth/me").status_code == 200 or None, within=60)
        client.log_in()
        wait_for(lambda: client.call("GET", "/api/tasks").status_code == 200 or None, within=60)
        touch(project, "services/tasks/tasks/views.py", "/app/tasks/views.py")
        wait_for(lambda: client.call("GET", "/api/tasks").status_code == 200 or None, within=60)
        touch(project, "shared/src/servicekit/views.py", "/shared/servicekit/views.py")
        wait_for(lambda: client.create("from the checkout").status_code == 201 or None, within=60)
    finally:
        # Not --no-deps, by which Compose would take the container for another one at the next "up".
        project.compose("up", "--detach", "auth", "tasks")
        project.wait_until_ready()
