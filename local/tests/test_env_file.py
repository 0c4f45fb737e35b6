import stat
from pathlib import Path

import pytest

from local import env_file
from local.errors import CommandError

EXAMPLE = "# Explained.\nGATEWAY_PORT=8000\nJWT_KEYS=\nAUTH_SECRET_KEY=\n# TASKS_URL=\nCOMPOSE_PROJECT_NAME=\n"


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    (tmp_path / ".env.example").write_text(EXAMPLE, encoding="utf-8")
    return tmp_path / ".env"


def read(dotenv: Path, **shell: str) -> dict[str, str]:
    return env_file.read(dotenv, example=EXAMPLE, shell=shell)


def test_names() -> None:
    assert env_file.names(EXAMPLE) == {
        *("GATEWAY_PORT", "JWT_KEYS", "AUTH_SECRET_KEY", "TASKS_URL", "COMPOSE_PROJECT_NAME"),
    }


def test_first_reading_makes_it_for_its_owner_alone(dotenv: Path) -> None:
    values = read(dotenv)

    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o600
    assert len(values["AUTH_SECRET_KEY"]) == 64
    assert values["COMPOSE_PROJECT_NAME"] == env_file.project_name(dotenv.parent)
    assert read(dotenv) == values


def test_secrets_that_are_missing_are_added(dotenv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dotenv.write_text("DATABASE_URL='mssql://a:b@host/x'\nAUTH_SECRET_KEY=\n# the end", encoding="utf-8")
    dotenv.chmod(0o640)

    values = read(dotenv)

    lines = dotenv.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "DATABASE_URL='mssql://a:b@host/x'"
    assert lines[1:] == [f"AUTH_SECRET_KEY={values['AUTH_SECRET_KEY']}", "# the end", f"JWT_KEYS={values['JWT_KEYS']}"]
    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o640
    assert capsys.readouterr() == ("", "added to .env, with fresh secrets: JWT_KEYS, AUTH_SECRET_KEY\n")
    assert read(dotenv) == values


def test_project_of_containers_that_may_be_there_keeps_its_name(dotenv: Path) -> None:
    dotenv.write_text("GATEWAY_PORT=8000\n", encoding="utf-8")
    assert "COMPOSE_PROJECT_NAME" not in read(dotenv)


@pytest.mark.parametrize("name", ["JWT_KEYS", "JWT_KEYS_FILE"])
def test_secret_that_is_given_elsewhere_is_not_added(dotenv: Path, name: str) -> None:
    dotenv.write_text(f"AUTH_SECRET_KEY=written\n{name}=given\n", encoding="utf-8")
    assert read(dotenv) == {"AUTH_SECRET_KEY": "written", name: "given"}

    dotenv.write_text("AUTH_SECRET_KEY=written\n", encoding="utf-8")
    assert read(dotenv, **{name: "given"}) == {"AUTH_SECRET_KEY": "written"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"NAME=\xff\n", "it is not UTF-8 text"), (b"GATEWAY_PORT=8000\nno assignment\n", "line 2 is not NAME=value")],
)
def test_unreadable_file(dotenv: Path, content: bytes, reason: str) -> None:
    dotenv.write_bytes(content)
    with pytest.raises(CommandError, match=f"^.env cannot be read: {reason}$"):
        read(dotenv)


def test_folder_in_its_place(dotenv: Path) -> None:
    dotenv.mkdir()
    with pytest.raises(CommandError, match=r"^.env cannot be read: Is a directory$"):
        read(dotenv)


def test_two_checkouts_are_two_projects_of_compose() -> None:
    assert env_file.project_name(Path("/a/task-api")) != env_file.project_name(Path("/b/task-api"))
