"""The output of `make up`: one line for any error that prevents the start, and the first steps once it runs."""

import fcntl
import json
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import requests

from support.accounts import PASSWORD
from support.commands import Completed, program, run, run_in_launcher, run_launcher
from support.environment import shell
from support.http import responds
from support.paths import CHECKOUT, copy_project, python
from support.ports import free_port

from .conftest import STOPPED_WITHIN_SECONDS, Start


def run_up(checkout: Path, state: Path, command: str = "up", **env: str) -> Completed:
    settings = {"STATE_DIR": str(state), "GATEWAY_PORT": str(free_port())} | env
    return run_launcher(command, checkout=checkout, env=shell(**settings))


def refused(result: Completed) -> str:
    """Return the error line of a refused start."""
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def test_the_first_call_can_be_pasted_and_works(start: Start) -> None:
    stack = start().wait_until_ready()
    output = re.sub(r"\x1b\[\d+m", "", stack.output)

    (command,) = re.findall(r"^  first call  (curl .*)$", output, re.MULTILINE)
    response = subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout

    assert json.loads(response)["username"] == "ada"
    assert output.count(f"Ready: http://localhost:{stack.port} ") == 1
    assert re.search(r"^  stop +Ctrl-C$", output, re.MULTILINE)
    # Our lines contain their time and service; Redis's lines have their own format.
    lines = output.split("the database is up to date\n")[1].split("\nReady:")[0].strip().splitlines()
    ours = re.compile(r"supervisor: \w+ started \(pid \d+\)|\d\d:\d\d:\d\d (auth|tasks|scheduler) .|\d+:[CM] .* # .")
    assert [line for line in lines if not ours.match(line)] == []
    assert "Traceback" not in output


def test_two_stacks_run_side_by_side_and_keep_their_data_apart(start: Start) -> None:
    first, second = start(), start()
    first.wait_until_ready()
    second.wait_until_ready()
    account = {"username": "grace", "password": PASSWORD}

    responses = [
        requests.post(f"{stack.url}/api/auth/register", json=account, timeout=10) for stack in (first, second, first)
    ]

    assert [response.status_code for response in responses] == [201, 201, 400]


def test_a_long_and_odd_state_folder_works(start: Start, tmp_path: Path) -> None:
    state = tmp_path / ("a folder with spaces, 100 % odd " + "x" * 90)
    stack = start(STATE_DIR=str(state)).wait_until_ready()

    assert responds(f"{stack.url}/readyz")
    assert (state / "db.sqlite3").exists()
    stack.type(b"\x03")
    assert stack.wait(timeout=STOPPED_WITHIN_SECONDS) == 0


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_taken_port_is_said_before_anything_is_installed(
    tmp_path: Path, family: socket.AddressFamily, host: str
) -> None:
    copy_project(tmp_path)
    shutil.rmtree(tmp_path / "var/env")
    with socket.create_server((host, 0), family=family) as taken:
        port = taken.getsockname()[1]
        env = shell(GATEWAY_PORT=str(port), PYTHON=str(python("local")))
        result = run("make", "up", env=env, cwd=tmp_path)

    (line, *_) = result.stderr.splitlines()
    assert line.startswith(
        f"error: GATEWAY_PORT: port {port} of {host} cannot be opened: Address already in use; stop "
    )
    assert result.stdout == ""
    assert not list((tmp_path / "var/env").glob("*/.ready"))


@pytest.mark.parametrize("command", ["up", "docker-up"])
def test_a_malformed_setting(tmp_path: Path, command: str) -> None:
    """One example; local/tests covers the rest."""
    line = refused(run_up(CHECKOUT, tmp_path, command, CORS_ORIGINS="https://app.example.org/"))

    assert line.startswith("CORS_ORIGINS: must be ")


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "JWT_KEYS", "TASKS_SECRET_KEY", "AUTH_DATABASE_URL"])
def test_a_file_in_place_of_a_value_is_not_passed_over_by_containers(tmp_path: Path, name: str) -> None:
    line = refused(run_up(CHECKOUT, tmp_path, "docker-up", **{f"{name}_FILE": str(tmp_path / "file")}))

    assert line == f"{name}_FILE: is not for containers; set {name}, which they receive as a file"


def test_a_state_folder_in_use(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with (tmp_path / "run/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = refused(run_up(CHECKOUT, tmp_path))

    assert line == f"the stack is already running in {tmp_path}; stop it, or set STATE_DIR"


def test_a_state_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert refused(run_up(CHECKOUT, tmp_path / "file/state")).startswith("STATE_DIR: ")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("JWT_KEYS", "no-colon-but-long-enough-to-be-a-secret", "JWT_KEYS"),
        ("JWT_KEYS", "kid:short", "JWT_KEYS"),
        ("AUTH_SECRET_KEY", "short", "AUTH_SECRET_KEY"),
        ("TASKS_SECRET_KEY", "x" * 31, "TASKS_SECRET_KEY"),
        ("SCHEDULER_SECRET_KEY", "short", "SCHEDULER_SECRET_KEY"),
    ],
)
def test_a_bad_secret_is_named_and_not_shown(tmp_path: Path, name: str, value: str, words: str) -> None:
    line = refused(run_up(CHECKOUT, tmp_path, **{name: value}))

    assert words in line
    assert value not in line.replace(name, "")


def test_two_services_with_the_same_secret(tmp_path: Path) -> None:
    secret = "the same secret of more than 32 bytes"
    line = refused(run_up(CHECKOUT, tmp_path, AUTH_SECRET_KEY=secret, TASKS_SECRET_KEY=secret))

    assert "AUTH_SECRET_KEY" in line
    assert "TASKS_SECRET_KEY" in line
    assert secret not in line


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:////nowhere/at/all/db.sqlite3", "unable to open database file"),
        ("mssql://sa:hidden-password@127.0.0.1:1/none", "the server does not respond: check the host and port"),
        ("oracle://x/y", "DATABASE_URL: must start with mssql:// or sqlite://"),
    ],
)
def test_an_unreachable_database(tmp_path: Path, url: str, reason: str) -> None:
    line = refused(run_up(CHECKOUT, tmp_path, DATABASE_URL=url))

    assert line.startswith(f"auth cannot migrate the database: {reason}")
    assert "hidden-password" not in line


def test_a_missing_program(checkout: Path, tmp_path: Path) -> None:
    def up() -> str:
        env = shell(STATE_DIR=str(tmp_path / "state"), GATEWAY_PORT=str(free_port()), PATH=str(tmp_path / "empty"))
        return refused(run_in_launcher(*program("launcher/up_without_system_folders"), checkout=checkout, env=env))

    (checkout / "var/env").unlink()
    assert up() == "nginx is missing: install nginx 1.22 or newer"

    nginx = checkout / "var/env/servers/bin/nginx"
    nginx.parent.mkdir(parents=True)
    nginx.write_text("#!/bin/sh\necho 'nginx version: nginx/1.22.0' >&2\n")
    nginx.chmod(0o755)
    assert up() == "redis-server is missing: install Redis 6.2 or newer, or set REDIS_URL"
