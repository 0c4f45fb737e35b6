"""SERVICE_LOGINS: each service's login may do what the service needs, and nothing else."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from support.commands import make_logins, manage, output_of, program, run_launcher
from support.paths import CHECKOUT, SERVICES, make_checkout
from support.sqlserver import Server

USER = "INSERT INTO accounts_user (password, username, email, is_active, is_staff, date_joined)"
TASK = "INSERT INTO tasks_task (owner_id, title, duration, version, created_at, updated_at)"
EVENT = (
    "INSERT INTO tasks_event (uuid, type, owner_id, task_id, version, title, duration,"
    " task_created_at, task_updated_at, request_id, created_at)"
)
RUN = (
    "INSERT INTO jobs_run (job, slot, requested_by, state, turn, started_at, finished_at, outcome, attempts,"
    " holder, lease, losses, done, total, spent_ms, [checkpoint], request_id)"
)
NOW = "SYSDATETIMEOFFSET()"

MAY = {
    "auth": [
        f"{USER} VALUES (N'hash', N'ada', N'', 1, 0, {NOW})",
        "UPDATE accounts_user SET email = N'a@example.com'",
        "SELECT password FROM accounts_user",
        "SELECT COUNT(*) FROM accounts_session",
        "DELETE FROM accounts_session",
        "SELECT COUNT(*) FROM django_migrations",
    ],
    "tasks": [
        f"{TASK} VALUES (1, N'Read', 5, 1, {NOW}, {NOW})",
        "UPDATE tasks_task SET title = N'Write' OUTPUT inserted.title",
        "DELETE FROM tasks_task OUTPUT deleted.id WHERE owner_id = 2",
        "SELECT version FROM tasks_task",
        f"{EVENT} VALUES (N'', N'task.created', 1, 1, 1, N'', 1, {NOW}, {NOW}, N'', {NOW})",
        "DELETE FROM tasks_event",
        "DELETE FROM tasks_idempotencykey",
        "SELECT COUNT(*) FROM django_migrations",
    ],
    "scheduler": [
        f"{RUN} VALUES (N'job', {NOW}, 0, N'running', 0, {NOW}, {NOW}, N'', 1, N'', 0, 0, 0, 0, 0, N'', N'')",
        "UPDATE jobs_run SET state = N'failed'",
        "DELETE FROM jobs_run WHERE 1 = 0",
        "SELECT id, owner_id, title, duration, created_at, updated_at FROM tasks_task",
        "SELECT uuid, title FROM tasks_event",
        "UPDATE webhooks_endpoint SET failures = 0",
        "DELETE FROM webhooks_delivery",
        "SELECT COUNT(*) FROM django_migrations",
    ],
}
MAY_NOT = {
    "auth": [
        "SELECT title FROM tasks_task",
        "UPDATE tasks_task SET owner_id = 2",
        "SELECT job FROM jobs_run",
        "DELETE FROM jobs_run",
        "DROP TABLE accounts_session",
    ],
    "tasks": [
        "SELECT password FROM accounts_user",
        "SELECT id FROM accounts_user",
        "UPDATE accounts_user SET is_staff = 1",
        "SELECT refresh_jti FROM accounts_session",
        f"{USER} VALUES (N'hash', N'eve', N'', 1, 1, {NOW})",
        "SELECT job FROM jobs_run",
        "SELECT secret FROM webhooks_endpoint",
        "UPDATE django_migrations SET name = N''",
        "DROP TABLE tasks_task",
        "ALTER TABLE tasks_task ADD more int",
        "CREATE TABLE more (id int)",
        "GRANT SELECT ON accounts_user TO {login}",
        "CREATE LOGIN more WITH PASSWORD = N'aA1-aA1-aA1'",
    ],
    "scheduler": [
        "UPDATE tasks_task SET title = N'Renamed'",
        "DELETE FROM tasks_task",
        f"{TASK} VALUES (1, N'Read', 5, 1, {NOW}, {NOW})",
        "SELECT version FROM tasks_task",
        "DELETE FROM tasks_event",
        f"{EVENT} VALUES (N'', N'task.created', 1, 1, 1, N'', 1, {NOW}, {NOW}, N'', {NOW})",
        "SELECT fingerprint FROM tasks_idempotencykey",
        "SELECT password FROM accounts_user",
        "DELETE FROM accounts_user",
        "DROP TABLE jobs_run",
    ],
}
assert set(MAY) == set(MAY_NOT) == set(SERVICES)


@pytest.fixture(scope="module")
def database(server: Server) -> str:
    return server.create()


@pytest.fixture(scope="module")
def logins(server: Server, database: str) -> dict[str, str]:
    return server.create_logins(database)


def execute(service: str, logins: dict[str, str], statements: list[str]) -> list[list[str]]:
    url = logins[f"{service.upper()}_DATABASE_URL"]
    statements = [statement.replace("{login}", urlsplit(url).username or "") for statement in statements]
    result = manage(*program("any/execute"), json.dumps(statements), service=service, DATABASE_URL=url)
    outcomes: list[list[str]] = json.loads(output_of(result))
    return outcomes


@pytest.mark.parametrize("service", SERVICES)
def test_service_may_do_its_work(logins: dict[str, str], service: str) -> None:
    outcomes = execute(service, logins, MAY[service])

    assert [outcome for outcome, _ in outcomes] == ["done"] * len(MAY[service]), outcomes


@pytest.mark.parametrize("service", SERVICES)
def test_service_is_refused_what_is_not_its_own(logins: dict[str, str], service: str) -> None:
    outcomes = dict(zip(MAY_NOT[service], execute(service, logins, MAY_NOT[service]), strict=True))

    assert {statement for statement, (outcome, _) in outcomes.items() if outcome != "refused"} == set()
    # Refused for a missing permission, not for an error in the statement.
    assert {
        statement: words
        for statement, (_, words) in outcomes.items()
        if not any(word in words.lower() for word in ("permission", "must be owner", "not the owner"))
    } == {}


def test_making_them_again_and_at_once_changes_nothing(database: str, logins: dict[str, str]) -> None:
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: make_logins(DATABASE_URL=database, **logins), range(2)))

    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 2
    assert execute("tasks", logins, ["SELECT COUNT(*) FROM tasks_task"])[0][0] == "done"


def test_urls_of_a_database_in_the_shell_are_not_written_into_env(database: str) -> None:
    result = make_logins(DATABASE_URL=database)

    assert (result.returncode, result.stderr) == (
        1,
        "error: AUTH_DATABASE_URL: set it where DATABASE_URL is set, which is not in .env\n",
    )


def test_urls_of_a_database_in_env_are_written_there_once(server: Server, tmp_path: Path) -> None:
    url = server.create()
    checkout = make_checkout(tmp_path / "checkout")
    secrets = re.sub(r"^\w*DATABASE_URL=.*$", "", (CHECKOUT / ".env").read_text(), flags=re.MULTILINE)
    (checkout / ".env").write_text(f"{secrets}\nSERVICE_LOGINS=1\nDATABASE_URL='{url}'")
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}

    for _ in range(2):
        made = run_launcher("database-logins", checkout=checkout, env=env)
        assert (made.returncode, made.stderr) == (0, "")

    written = re.findall(r"^([A-Z]+_DATABASE_URL)='(.*)'$", (checkout / ".env").read_text(), re.MULTILINE)
    assert [name for name, _ in written] == ["AUTH_DATABASE_URL", "TASKS_DATABASE_URL", "SCHEDULER_DATABASE_URL"]
    assert execute("tasks", dict(written), ["SELECT COUNT(*) FROM tasks_task"]) == [["done", "0"]]


def test_login_that_is_there_keeps_its_password(database: str, logins: dict[str, str]) -> None:
    url = logins["TASKS_DATABASE_URL"]
    other = {"TASKS_DATABASE_URL": url.replace(urlsplit(url).password or "", "hidden-Passw0rd")}
    # It keeps its permissions too: the login may belong to another owner.
    granted = [f"GRANT DELETE ON jobs_run TO [{urlsplit(url).username}]"]
    assert [outcome for outcome, _ in execute("tasks", {"TASKS_DATABASE_URL": database}, granted)] == ["done"]

    result = make_logins(DATABASE_URL=database, **logins | other)

    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    assert result.stderr.startswith("error: TASKS_DATABASE_URL: ")
    assert "the login failed" in result.stderr
    assert "hidden-Passw0rd" not in result.stdout + result.stderr
    assert execute("tasks", logins, ["DELETE FROM jobs_run WHERE 1 = 0"]) == [["done", ""]]


def test_right_that_a_service_no_longer_needs_is_taken_from_it(database: str, logins: dict[str, str]) -> None:
    user = f"[{urlsplit(logins['TASKS_DATABASE_URL']).username}]"
    granted = [
        f"GRANT SELECT, DELETE ON accounts_session TO {user}",
        f"GRANT SELECT (id, password) ON accounts_user TO {user}",
        f"GRANT INSERT ON django_migrations TO {user}",
        # The scheduler also has column permissions on this table.
        f"GRANT SELECT ON tasks_task TO [{urlsplit(logins['SCHEDULER_DATABASE_URL']).username}]",
        # A table of another application.
        "CREATE TABLE ledger (id int)",
        f"GRANT SELECT ON ledger TO {user}",
    ]
    owner = {"TASKS_DATABASE_URL": database}
    assert [outcome for outcome, _ in execute("tasks", owner, granted)] == ["done"] * 6
    attempts = [
        "SELECT id FROM accounts_session",
        "DELETE FROM accounts_session WHERE 1 = 0",
        "SELECT password FROM accounts_user",
        "INSERT INTO django_migrations (app, name, applied) SELECT N'a', N'b', SYSDATETIMEOFFSET() WHERE 1 = 0",
    ]
    assert [outcome for outcome, _ in execute("tasks", logins, attempts)] == ["done"] * 4

    assert make_logins(DATABASE_URL=database, **logins).returncode == 0

    assert [outcome for outcome, _ in execute("tasks", logins, attempts)] == ["refused"] * 4
    assert execute("scheduler", logins, ["SELECT version FROM tasks_task"])[0][0] == "refused"
    # All other permissions stay.
    assert execute("tasks", logins, ["SELECT COUNT(*) FROM ledger"]) == [["done", "0"]]
    for service in SERVICES:
        needed = [statement for statement in MAY[service] if statement.startswith("SELECT")]
        assert {outcome for outcome, _ in execute(service, logins, needed)} == {"done"}


def test_user_of_a_restored_database_is_given_to_the_login_of_this_server(server: Server) -> None:
    # A name may contain quotes and brackets; also a ], but not on the compatible server.
    url = server.create(suffix=" 'x';[")
    logins = server.create_logins(url)
    parts = urlsplit(logins["TASKS_DATABASE_URL"])
    login = unquote(parts.username or "")
    literal = login.replace("'", "''")
    # As after a restore on another server: the user does not belong to this server's login of the same name.
    recreate = [f"DROP LOGIN [{login}]", f"CREATE LOGIN [{login}] WITH PASSWORD = N'{parts.password}'"]
    owner = {"TASKS_DATABASE_URL": url}
    assert [outcome for outcome, _ in execute("tasks", owner, recreate)] == ["done"] * 2
    query = f"SELECT CASE WHEN sid = SUSER_SID(N'{literal}') THEN 1 ELSE 0 END FROM sys.database_principals"
    query += f" WHERE name = N'{literal}'"
    assert execute("tasks", owner, [query])[0] != ["done", "1"]

    made = make_logins(DATABASE_URL=url, **logins)

    assert (made.returncode, made.stderr) == (0, "")
    assert execute("tasks", owner, [query]) == [["done", "1"]]
    assert execute("tasks", logins, ["SELECT COUNT(*) FROM tasks_task"]) == [["done", "0"]]


def test_name_that_the_database_has_for_something_else_is_left_alone(server: Server) -> None:
    url = server.create()
    role = f"CREATE ROLE [{urlsplit(url).path.strip('/')}_auth]"
    assert execute("tasks", {"TASKS_DATABASE_URL": url}, [role]) == [["done", ""]]

    with pytest.raises(AssertionError, match=r"AUTH_DATABASE_URL: .*: the database has a user or role of"):
        server.create_logins(url)


def test_member_of_a_role_is_refused(server: Server) -> None:
    url = server.create()
    logins = server.create_logins(url)
    login = urlsplit(logins["TASKS_DATABASE_URL"]).username
    statements = ["CREATE ROLE [keepers]", f"ALTER ROLE [keepers] ADD MEMBER [{login}]"]
    assert execute("tasks", {"TASKS_DATABASE_URL": url}, statements) == [["done", ""]] * 2

    result = make_logins(DATABASE_URL=url, **logins)

    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert f"{login}: is a member of keepers, and may do more than a service's login may" in result.stderr


def test_two_services_have_two_logins(database: str, logins: dict[str, str]) -> None:
    made = make_logins(DATABASE_URL=database, **logins | {"TASKS_DATABASE_URL": logins["AUTH_DATABASE_URL"]})

    assert (made.returncode, made.stderr) == (1, "error: AUTH_DATABASE_URL: names the login of another service\n")


def test_doctor_tries_them(database: str, logins: dict[str, str]) -> None:
    def doctor(**urls: str) -> tuple[int, list[str]]:
        result = run_launcher("doctor", env={**os.environ, "DATABASE_URL": database, **urls})
        assert "hidden-Passw0rd" not in result.stdout + result.stderr
        return result.returncode, re.findall(r"^(\w+ +login +[A-Z]+_DATABASE_URL: [\w ]+)", result.stdout, re.MULTILINE)

    names = [f"{service.upper()}_DATABASE_URL" for service in SERVICES]
    assert doctor(**logins) == (0, [f"ok       login      {name}: logs in" for name in names])

    url = logins["TASKS_DATABASE_URL"]
    code, lines = doctor(
        **logins | {"TASKS_DATABASE_URL": url.replace(urlsplit(url).password or "", "hidden-Passw0rd")}
    )
    assert (code, lines[1]) == (1, "missing  login      TASKS_DATABASE_URL: the login failed")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("user", "names DATABASE_URL's own user"),
        ("database", "names another database than DATABASE_URL"),
        ("password", "the user or the password is missing"),
    ],
)
def test_url_that_cannot_be_meant_is_refused(database: str, logins: dict[str, str], part: str, words: str) -> None:
    url = urlsplit(logins["AUTH_DATABASE_URL"])
    host = url.netloc.rpartition("@")[2]
    changed = {
        "user": database,
        "database": url._replace(path="/another").geturl(),
        "password": url._replace(netloc=f"{url.username}@{host}").geturl(),
    }[part]

    result = make_logins(DATABASE_URL=database, **logins | {"AUTH_DATABASE_URL": changed})

    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("error: AUTH_DATABASE_URL: ")
    assert words in result.stderr
