"""The admin beside a running stack: changes there take effect in every service within two seconds."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial

import psutil
import pytest
import requests

from support.accounts import PASSWORD, Account, log_in
from support.commands import output_of, run
from support.http import responds
from support.paths import CHECKOUT
from support.ports import free_port
from support.stack import LocalStack
from support.waiting import wait_until

KNOWN_WITHIN_SECONDS = 2
# A path of each service; the last is for staff.
SERVICES = ("/api/auth/me", "/api/tasks", "/api/jobs")


@pytest.fixture(scope="module")
def environment(stack: LocalStack) -> dict[str, str]:
    return stack.environment | {"ADMIN_PORT": str(free_port())}


def make_staff(environment: dict[str, str], name: str) -> None:
    credentials = {"DJANGO_SUPERUSER_USERNAME": name, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    output_of(run("make", "superuser", env=environment | credentials))


@pytest.fixture(scope="module")
def admin(stack: LocalStack, first: Account, environment: dict[str, str]) -> Iterator["Admin"]:
    make_staff(environment, "keeper")
    process = subprocess.Popen(
        ["make", "admin"],
        cwd=CHECKOUT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    url = f"http://localhost:{environment['ADMIN_PORT']}"
    assert f"{url}/admin/" in process.stdout.readline()
    wait_until(lambda: responds(f"{url}/admin/login/"), timeout=15)
    browser = Admin(url, requests.Session())
    browser.post("login/?next=/admin/", username="keeper", password=PASSWORD)
    assert "Users" in browser.session.get(f"{url}/admin/", timeout=10).text
    yield browser
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=10)
    process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_stops_with_all_that_it_has_started(environment: dict[str, str], number: signal.Signals) -> None:
    port = free_port()
    process = subprocess.Popen(
        ["make", "admin"],
        cwd=CHECKOUT,
        env=environment | {"ADMIN_PORT": str(port)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # nohup, under which the suite may run, ignores SIGHUP, and its descendants do too.
        preexec_fn=partial(signal.signal, number, signal.SIG_DFL),
    )
    wait_until(lambda: responds(f"http://localhost:{port}/admin/login/"), timeout=30)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len([child for child in family if "granian" in " ".join(child.cmdline())]) >= 2

    os.killpg(process.pid, number)

    process.wait(timeout=15)
    _, left = psutil.wait_procs(family, timeout=15)
    assert left == []


class Admin:
    """A minimal browser: it keeps cookies and sends each form's CSRF token."""

    def __init__(self, url: str, session: requests.Session) -> None:
        self.url, self.session = url, session

    def post(self, path: str, **fields: str) -> None:
        page = self.session.get(f"{self.url}/admin/{path}", timeout=10)
        assert page.status_code == 200
        [token] = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text))
        response = self.session.post(
            page.url, data={"csrfmiddlewaretoken": token, **fields}, timeout=10, allow_redirects=False
        )
        assert response.status_code == 302, response.text


def demote(admin: Admin, user_id: int) -> None:
    admin.post(f"accounts/user/{user_id}/change/", email="", is_active="on")


def deactivate(admin: Admin, user_id: int) -> None:
    admin.post(f"accounts/user/{user_id}/change/", email="", is_staff="on")


def delete(admin: Admin, user_id: int) -> None:
    admin.post(f"accounts/user/{user_id}/delete/", post="yes")


@pytest.mark.parametrize("end", [demote, deactivate, delete])
def test_a_user_who_loses_a_right_loses_every_token_everywhere(
    stack: LocalStack, environment: dict[str, str], admin: Admin, end: Callable[[Admin, int], None]
) -> None:
    name = f"staff-to-{end.__name__}"
    make_staff(environment, name)
    pair = log_in(stack, name)
    for path in SERVICES:
        assert stack.call("GET", path, token=pair["access"]).status_code == 200
    user_id = stack.call("GET", "/api/auth/me", token=pair["access"]).json()["id"]

    end(admin, user_id)

    assert stack.call("POST", "/api/auth/token/refresh", json={"refresh": pair["refresh"]}).status_code == 401
    for path in SERVICES:
        wait_until(
            lambda path=path: {stack.call("GET", path, token=pair["access"]).status_code for _ in range(8)} == {401},
            timeout=KNOWN_WITHIN_SECONDS,
        )
    again = stack.call("POST", "/api/auth/token", json={"username": name, "password": PASSWORD})
    assert again.status_code == (200 if end is demote else 401)
    if end is demote:
        assert stack.call("GET", "/api/jobs", token=again.json()["access"]).status_code == 403


def test_the_gateway_does_not_lead_there(stack: LocalStack, admin: Admin) -> None:
    for path in ("/admin/", "/admin/login/", "/api/auth/admin/", "/api/auth/../admin/", "/static/admin/css/base.css"):
        response = stack.call("GET", path)
        assert response.status_code in (400, 404), path
        assert response.headers["Content-Type"] == "application/problem+json"


def test_it_listens_on_loopback_alone(admin: Admin) -> None:
    port = int(admin.url.rpartition(":")[2])
    listening = [c.laddr for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert {address.ip for address in listening if address.port == port} == {"127.0.0.1"}
