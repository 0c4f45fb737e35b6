"""`make doctor` reports what is installed and where the ODBC driver comes from."""

from pathlib import Path

import pytest

from support.commands import run_launcher
from support.environment import shell

UNREACHABLE = "mssql://sa:hidden-password@127.0.0.1:1/tasks"
DRIVER = "ODBC Driver 18 for SQL Server"


def run_doctor(checkout: Path, state: Path, *arguments: str, **env: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return the exit code and each item's mark and text."""
    environment = shell(**{"STATE_DIR": str(state)} | env)
    if "ODBCSYSINI" not in env:
        # As on a machine without a driver.
        environment["ODBCINSTINI"] = "none.ini"
        environment.pop("ODBCSYSINI", None)
    result = run_launcher("doctor", *arguments, checkout=checkout, env=environment)
    assert result.stderr == ""
    assert "hidden-password" not in result.stdout
    lines = [line.split(maxsplit=2) for line in result.stdout.splitlines()]
    return result.returncode, {what: (mark, words) for mark, what, words in lines}


def test_sqlite_needs_nothing_of_sql_server(checkout: Path, tmp_path: Path) -> None:
    code, things = run_doctor(checkout, tmp_path)

    assert code == 0
    assert list(things) == ["Python", "nginx", "redis", "database"]
    assert {mark for mark, _ in things.values()} == {"ok"}
    assert not (checkout / "var/odbc").exists()


def test_the_suites_of_sql_server_do_not_pass_for_sqlite(checkout: Path, tmp_path: Path) -> None:
    code, things = run_doctor(checkout, tmp_path, "--sqlserver")

    assert code == 1
    assert things["database"] == (
        "missing",
        "set DATABASE_URL=mssql://user:password@host:1433/name; see docs/sqlserver.md",
    )


def test_the_driver_in_the_wheel_serves_a_machine_without_one(checkout: Path, tmp_path: Path) -> None:
    code, things = run_doctor(checkout, tmp_path, DATABASE_URL=UNREACHABLE)

    assert code == 1
    assert things["driver"] == ("ok", f"{DRIVER}, from the wheel mssql-python-odbc")
    mark, words = things["server"]
    assert mark == "missing"
    assert words.startswith("127.0.0.1 does not respond on port 1 (Connection refused): check ")
    section, path = (checkout / "var/odbc/odbcinst.ini").read_text().split("\nDriver=")
    assert section == f"[{DRIVER}]"
    assert Path(path.strip()).is_file()


def test_the_machines_own_driver_comes_first(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "odbcinst.ini").write_text(f"[{DRIVER}]\nDriver=/anything\n")

    _, things = run_doctor(checkout, tmp_path, DATABASE_URL=UNREACHABLE, ODBCSYSINI=str(tmp_path))

    assert things["driver"] == ("ok", f"{DRIVER}, the machine's own")
    assert not (checkout / "var/odbc").exists()


def test_the_machines_other_drivers_stay_visible(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "odbcinst.ini").write_text("[Another]\nDriver=/anything\n")
    env = {"ODBCSYSINI": str(tmp_path)}

    _, things = run_doctor(checkout, tmp_path, DATABASE_URL=UNREACHABLE, **env)
    assert things["driver"] == ("ok", f"{DRIVER}, from the wheel mssql-python-odbc")
    assert (checkout / "var/odbc/odbcinst.ini").read_text().startswith("[Another]\nDriver=/anything\n")

    _, things = run_doctor(checkout, tmp_path, DATABASE_URL=f"{UNREACHABLE}?driver=Another", **env)
    assert things["driver"] == ("ok", "Another, the machine's own")

    _, things = run_doctor(checkout, tmp_path, DATABASE_URL=f"{UNREACHABLE}?driver=Missing", **env)
    words = "DATABASE_URL: driver=Missing is not installed on this machine, which has Another"
    assert things["driver"] == ("missing", words)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATABASE_URL", "mssql://sa@127.0.0.1/tasks", "DATABASE_URL: the user or the password is missing: "),
        ("TASKS_SECRET_KEY", "short", "TASKS_SECRET_KEY: has fewer than 32 bytes"),
    ],
)
def test_a_bad_setting_is_named(checkout: Path, tmp_path: Path, name: str, value: str, words: str) -> None:
    code, things = run_doctor(checkout, tmp_path, **{name: value})

    assert code == 1
    assert things["settings"][0] == "missing"
    assert things["settings"][1].startswith(words)


def test_a_services_own_address_is_tried_in_place_of_a_file(checkout: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/db.sqlite3"
    (tmp_path / "url").write_text(url)

    code, things = run_doctor(checkout, tmp_path, DATABASE_URL_FILE=str(tmp_path / "url"), TASKS_DATABASE_URL=url)

    assert (code, things["login"]) == (0, ("ok", "TASKS_DATABASE_URL: logs in"))
