"""The Compose override for development: a change in the checkout takes effect immediately."""

import os
import time

from support.compose import Project
from support.paths import CHECKOUT
from support.waiting import wait_until

from .conftest import Client

FILES = ("--file", "docker-compose.yaml", "--file", "docker-compose.dev.yaml")


def touch(project: Project, path: str, inside: str) -> None:
    """Touch the file until the service reloads: Django's server responds before it starts watching files."""

    def seen() -> bool:
        os.utime(CHECKOUT / path)
        time.sleep(1)
        return f"{inside} changed, reloading" in "".join(project.log("tasks"))

    wait_until(seen, timeout=30, what="the service reloads")


def test_the_code_is_the_checkouts_and_a_change_starts_it_again(project: Project, client: Client) -> None:
    project.compose(*FILES, "up", "--detach", "auth", "tasks")
    try:
        wait_until(lambda: client.call("GET", "/api/auth/me").status_code == 200, timeout=60)
        client.log_in()
        wait_until(lambda: client.call("GET", "/api/tasks").status_code == 200, timeout=60)
        touch(project, "services/tasks/tasks/views.py", "/app/tasks/views.py")
        wait_until(lambda: client.call("GET", "/api/tasks").status_code == 200, timeout=60)
        touch(project, "shared/src/servicekit/http/views.py", "/shared/servicekit/http/views.py")
        wait_until(lambda: client.create("from the checkout").status_code == 201, timeout=60)
    finally:
        # Not --no-deps: Compose would recreate the container at the next "up".
        project.compose("up", "--detach", "auth", "tasks")
        project.wait_until_ready()
