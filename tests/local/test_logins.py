"""The URLs of the services' logins, which `make database` writes into .env if SERVICE_LOGINS is 1."""

import json
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from support.commands import output_of, program, run_in_launcher
from support.environment import shell

URL = "mssql://sa:a@host:1433/tasks?encrypt=no"
VARIABLES = ["AUTH_DATABASE_URL", "TASKS_DATABASE_URL", "SCHEDULER_DATABASE_URL"]


def write_urls(checkout: Path, dotenv: str, **env: str) -> dict[str, str] | str:
    """Return each service's URL, or the error."""
    (checkout / ".env").write_text(dotenv)
    result = run_in_launcher(*program("launcher/write_urls"), checkout=checkout, env=shell(**env))
    urls: dict[str, str] | str = json.loads(output_of(result))
    return urls


def test_urls_are_written_once_each_with_a_password_of_its_own(checkout: Path) -> None:
    # An empty variable counts as unset.
    urls = write_urls(checkout, f"DATABASE_URL='{URL}'\n", DATABASE_URL=" ")

    written = re.findall(r"^([A-Z]+_DATABASE_URL)='(.*)'$", (checkout / ".env").read_text(), re.MULTILINE)
    assert [name for name, _ in written] == VARIABLES
    assert urls == dict(zip(("auth", "tasks", "scheduler"), (url for _, url in written), strict=True))
    parts = [urlsplit(url) for _, url in written]
    assert [(part.username, part.hostname, part.path, part.query) for part in parts] == [
        (f"tasks_{service}", "host", "/tasks", "encrypt=no") for service in ("auth", "tasks", "scheduler")
    ]
    assert len({part.password for part in parts}) == 3
    assert write_urls(checkout, (checkout / ".env").read_text()) == urls


def test_login_is_named_for_the_database_and_not_for_how_a_url_writes_it(checkout: Path) -> None:
    urls = write_urls(checkout, f"DATABASE_URL='{URL.replace('/tasks', '/my%20tasks%5D%2F')}'\n")

    assert isinstance(urls, dict)
    assert unquote(urlsplit(urls["auth"]).username or "") == "my tasks]/_auth"


def test_urls_of_a_database_that_is_not_in_env_are_not_written_there(checkout: Path, tmp_path: Path) -> None:
    refused = "AUTH_DATABASE_URL: set it where DATABASE_URL is set, which is not in .env"
    (tmp_path / "url").write_text(URL)

    assert write_urls(checkout, "", DATABASE_URL=URL) == refused
    assert write_urls(checkout, "", DATABASE_URL_FILE=str(tmp_path / "url")) == refused
    assert (checkout / ".env").read_text() == ""


def test_two_services_have_two_logins(checkout: Path) -> None:
    same = "".join(f"{name}=mssql://Sa{number % 2}:b@host:1433/tasks\n" for number, name in enumerate(VARIABLES))

    assert (
        write_urls(checkout, f"DATABASE_URL={URL}\n{same}") == "AUTH_DATABASE_URL: names the login of another service"
    )
