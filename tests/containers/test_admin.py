"""The admin, which runs only if its profile is enabled."""

import re
from collections.abc import Iterator

import pytest
import requests

from support.accounts import PASSWORD
from support.compose import Project
from support.http import responds
from support.waiting import wait_until

from .conftest import probe

NAME = "operator"


@pytest.fixture(scope="module")
def admin(project: Project) -> Iterator[str]:
    assert "admin" not in project.compose("ps", "--all", "--services").split()
    project.compose("--profile", "admin", "up", "--detach", "admin")
    url = f"http://localhost:{project.admin_port}/admin/"
    wait_until(lambda: responds(url + "login/"), timeout=40, what="the admin responds")
    assert probe(project, "admin") == 0
    yield url
    project.compose("--profile", "admin", "rm", "--force", "--stop", "admin")


def test_staff_logs_in_and_sees_the_users(admin: str, project: Project) -> None:
    create = ("python", "manage.py", "createsuperuser", "--noinput", "--username", NAME)
    project.compose("exec", "--no-TTY", "--env", f"DJANGO_SUPERUSER_PASSWORD={PASSWORD}", "auth", *create)
    with requests.Session() as browser:
        form = browser.get(admin + "login/", timeout=30)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)[1]
        style = re.search(r'href="(/[^"]+\.css)"', form.text)[1]
        assert browser.get(admin.removesuffix("/admin/") + style, timeout=30).status_code == 200
        body = {"username": NAME, "password": PASSWORD, "csrfmiddlewaretoken": token, "next": "/admin/"}
        inside = browser.post(admin + "login/", data=body, headers={"Referer": admin}, timeout=30)
        assert inside.status_code == 200
        assert NAME in browser.get(admin + "accounts/user/", timeout=30).text


def test_it_is_open_to_this_machine_alone_and_has_what_auth_has(admin: str, project: Project) -> None:
    [container] = project.inspect(*project.containers("admin"))
    assert container["NetworkSettings"]["Ports"] == {
        "8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(project.admin_port)}]
    }
    host = container["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], None)
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert project.execute("admin", "id", "-u").strip() == "10001"
    # DNS rebinding: the name of a foreign page that resolves to this machine.
    assert requests.get(admin, headers={"Host": "evil.example"}, timeout=30).status_code == 400
    # The gateway does not route to the admin.
    assert project.request("GET", "/admin/").status_code == 404
