"""The URLs of the services' logins, which `make database` writes into .env where SERVICE_LOGINS is 1."""

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .conftest import CHECKOUT, clean_environment

URL = "mssql://sa:a@host:1433/tasks?encrypt=no"
VARIABLES = ["AUTH_DATABASE_URL", "TASKS_DATABASE_URL", "SCHEDULER_DATABASE_URL"]
SCRIPT = """
import json, sys
import environment, logins
try:
    print(json.dumps(logins.write_urls()))
except environment.StartError as error:
    print(json.dumps(str(error)))
"""


def write_urls(checkout: Path, dotenv: str, **env: str) -> dict[str, str] | str:
    """Each service's URL, or why there is none."""
    (checkout / ".env").write_text(dotenv)
    result = subprocess.run(
        [CHECKOUT / "var/env/local/bin/python", "-c", SCRIPT],
        env=clean_environment(**{"PYTHONPATH": str(checkout / "local")} | env),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_urls_are_written_once_each_with_a_password_of_its_own(copy: Path) -> None:
    # A variable that is there but empty counts as unset.
    urls = write_urls(copy, f"DATABASE_URL='{URL}'\n", DATABASE_URL=" ")

    written = re.findall(r"^([A-Z]+_DATABASE_URL)='(.*)'$", (copy / ".env").read_text(), re.MULTILINE)
    assert [name for name, _ in written] == VARIABLES
    assert urls == dict(zip(("auth", "tasks", "scheduler"), (url for _, url in written), strict=True))
    parts = [urlsplit(url) for _, url in written]
    assert [(part.username, part.hostname, part.path, part.query) for part in parts] == [
        (f"tasks_{service}", "host", "/tasks", "encrypt=no") for service in ("auth", "tasks", "scheduler")
    ]
    assert len({part.password for part in parts}) == 3
    assert write_urls(copy, (copy / ".env").read_text()) == urls


def test_login_is_named_for_the_database_and_not_for_how_a_url_writes_it(copy: Path) -> None:
    urls = write_urls(copy, f"DATABASE_URL='{URL.replace('/tasks', '/my%20tasks%5D%2F')}'\n")

    assert isinstance(urls, dict)
    assert unquote(urlsplit(urls["auth"]).username or "") == "my tasks]/_auth"


def test_urls_of_a_database_that_is_not_in_env_are_not_written_there(copy: Path, tmp_path: Path) -> None:
    refused = "AUTH_DATABASE_URL: set it where DATABASE_URL is set, which is not in .env"
    (tmp_path / "url").write_text(URL)

    assert write_urls(copy, "", DATABASE_URL=URL) == refused
    assert write_urls(copy, "", DATABASE_URL_FILE=str(tmp_path / "url")) == refused
    assert (copy / ".env").read_text() == ""


def test_two_services_have_two_logins(copy: Path) -> None:
    same = "".join(f"{name}=mssql://Sa{number % 2}:b@host:1433/tasks\n" for number, name in enumerate(VARIABLES))

    assert write_urls(copy, f"DATABASE_URL={URL}\n{same}") == "AUTH_DATABASE_URL: names the login of another service"
