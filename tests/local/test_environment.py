"""The sources of the variables, each of which is documented in .env.example."""

import json
import re
import stat
from pathlib import Path

import pytest

from support.commands import Completed, output_of, program, run_in_launcher
from support.environment import SECRETS, without_project
from support.paths import CHECKOUT

EXAMPLE = (CHECKOUT / ".env.example").read_text()


def attempt_load(checkout: Path, **env: str) -> Completed:
    return run_in_launcher(*program("launcher/load_environment"), checkout=checkout, env=without_project() | env)


def load(checkout: Path, **env: str) -> dict[str, str]:
    variables: dict[str, str] = json.loads(output_of(attempt_load(checkout, **env)))
    return variables


def test_the_first_start_writes_an_env_file_of_fresh_secrets_that_its_owner_alone_reads(checkout: Path) -> None:
    env = load(checkout)

    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o600
    assert not list(checkout.glob(".env.*[!e]"))
    written = dict(re.findall(r"^([A-Z_]+)=(.*)$", (checkout / ".env").read_text(), re.MULTILINE))
    values = [written[name].split(":")[-1] for name in SECRETS]
    assert len(set(values)) == len(SECRETS)
    # Characters that make, Compose and dotenv all parse alike.
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{64}", value) for value in values)
    assert re.fullmatch(r"[0-9a-f]{8}:[A-Za-z0-9_-]{64}", env["JWT_KEYS"])
    assert re.fullmatch(r"task-api-[0-9a-f]{6}", written["COMPOSE_PROJECT_NAME"])
    filled = "|".join([*SECRETS, "COMPOSE_PROJECT_NAME"])
    assert re.sub(rf"^({filled})=.*$", r"\1=", (checkout / ".env").read_text(), flags=re.MULTILINE) == EXAMPLE


def test_a_later_start_leaves_it_alone(checkout: Path) -> None:
    load(checkout)
    written = (checkout / ".env").read_bytes()

    load(checkout)

    assert (checkout / ".env").read_bytes() == written


def test_the_shell_wins_over_the_file_and_the_file_over_the_default(checkout: Path) -> None:
    (checkout / ".env").write_text("GATEWAY_PORT=1111\nREPORT_USER_ID=7\nLOG_LEVEL=\n")

    env = load(checkout, GATEWAY_PORT="2222")

    assert (env["GATEWAY_PORT"], env["REPORT_USER_ID"], env["LOG_LEVEL"]) == ("2222", "7", "INFO")


def test_a_value_in_single_quotes_is_taken_as_it_is(checkout: Path) -> None:
    (checkout / ".env").write_text("DATABASE_URL='mssql://sa:a$HOME#${HOME} b@host/name'\n")

    assert load(checkout)["DATABASE_URL"] == "mssql://sa:a$HOME#${HOME} b@host/name"


LOGIN = "TASKS_DATABASE_URL=mssql://tasks_tasks:b@host:1433/tasks?encrypt=no\n"


def test_a_service_has_the_login_that_stands_beside_its_database(checkout: Path) -> None:
    (checkout / ".env").write_text("DATABASE_URL=mssql://sa:a@host:1433/tasks\n" + LOGIN)

    assert load(checkout)["TASKS_DATABASE_URL"] == "mssql://tasks_tasks:b@host:1433/tasks?encrypt=no"
    # Another database in the shell has its own logins, or none.
    assert "TASKS_DATABASE_URL" not in load(checkout, DATABASE_URL="mssql://sa:a@host:1433/tasks")


@pytest.mark.parametrize("line", ["", "DATABASE_URL=mssql://sa:a@other:1433/tasks\n", "DATABASE_URL=sqlite:////x\n"])
def test_a_login_for_another_database_stops_the_start(checkout: Path, line: str) -> None:
    (checkout / ".env").write_text(line + LOGIN)

    result = attempt_load(checkout)

    assert result.returncode == 1
    assert "TASKS_DATABASE_URL: names another database than DATABASE_URL" in result.stderr
    assert ":b@" not in result.stderr


def test_a_relative_state_folder_is_relative_to_the_checkout(checkout: Path) -> None:
    env = load(checkout, STATE_DIR="elsewhere")

    assert env["STATE_DIR"] == str(checkout / "elsewhere")
    assert env["DATABASE_URL"] == f"sqlite:///{checkout}/elsewhere/db.sqlite3"


def test_two_long_state_folders_have_short_sockets_that_differ(checkout: Path) -> None:
    runs = [Path(load(checkout, STATE_DIR=name * 100)["RUN_DIR"]) for name in ("a", "b")]

    try:
        assert len(set(runs)) == 2
        assert all(len(bytes(run / "scheduler.sock")) < 104 for run in runs)
        assert all(stat.S_IMODE(run.stat().st_mode) == 0o700 for run in runs)
    finally:
        for run in runs:
            run.rmdir()


def test_the_example_explains_every_variable_that_the_code_reads_and_no_other() -> None:
    explained = re.findall(r"^(?:# )?([A-Z][A-Z_]*)=", EXAMPLE, re.MULTILINE)
    assert len(explained) == len(set(explained))

    read = set()
    services = [*(CHECKOUT / "shared/src").rglob("*.py"), *(CHECKOUT / "services").glob("*/*/**/*.py")]
    # servicekit.testing is only for unit tests.
    for path in [path for path in services if "tests" not in path.parts and path.name != "testing.py"]:
        text = path.read_text()
        read |= set(re.findall(r'(?:\benv\.\w+|\brequire|\bsecret_key)\(\s*"([A-Z_]+)"', text))
        read |= set(re.findall(r'^VARIABLE = "([A-Z_]+)"', text, re.MULTILINE))
    given = set()
    for path in (CHECKOUT / "local").glob("*.py"):
        read |= set(re.findall(r'\benv(?:\.get\(|\[|, )"([A-Z_]+)"', path.read_text()))
        given |= set(re.findall(r'\benv\["([A-Z_]+)"\] = ', path.read_text()))
    read |= set(re.findall(r"%\(ENV_([A-Z_]+)\)", (CHECKOUT / "local/supervisord.conf").read_text()))
    files = ("docker-compose.yaml", "docker-compose.tls.yaml", "deploy/swarm/stack.yaml")
    compose = {name for path in files for name in re.findall(r"\$\{([A-Z_]+)", (CHECKOUT / path).read_text())}
    # These belong to the machine or to supervisord.
    read = (read | compose) - {
        "PATH",
        "ODBCSYSINI",
        "ODBCINSTINI",
        "SUPERVISOR_PROCESS_NAME",
    }
    # The launcher computes these; NAME_FILE is a form of NAME.
    given |= {"RUN_DIR", "ENVIRONMENTS", "METRICS_DIR", "METRICS_ADDRESS"}
    given |= {"GATEWAY_ANSWERS", "GATEWAY_STATUS", "GATEWAY_TLS"}
    given |= {name for name in read if name.endswith("_FILE") and name.removesuffix("_FILE") in explained}

    assert set(explained) == read - given
    # Containers do not use the variables of the machine and of the logins, and never enable the last.
    local = {"STATE_DIR", "METRICS_PORT", "SERVICE_LOGINS", "WEBHOOK_ALLOW_PRIVATE_NETWORKS"}
    assert set(explained) - compose == local
