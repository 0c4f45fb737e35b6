"""`make database` and logins on a real server, through both drivers."""

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import pytest

from support.commands import manage, program
from support.sqlserver import DRIVERS, PASSWORD, Server
from support.waiting import wait_until


def execute(url: str, statement: str) -> tuple[str, str]:
    """Run a statement as the URL's user; return "done" and its first value, or "refused" and the error."""
    result = manage(*program("any/execute"), json.dumps([statement]), DATABASE_URL=url)
    if result.returncode:
        return "refused", result.stderr
    [(outcome, text)] = json.loads(result.stdout)
    return outcome, text


@pytest.mark.parametrize("python_driver", DRIVERS)
def test_database_is_made_once_however_many_ask_for_it(server: Server, python_driver: str) -> None:
    url = server.url(python_driver=python_driver)

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: manage("database", DATABASE_URL=url), range(4)))

    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 4
    assert sum("created" in result.stdout for result in results) == 1
    check = manage("database", "--check", DATABASE_URL=url)
    assert check.returncode == 0
    assert [line.split()[:2] for line in check.stdout.splitlines()] == [
        ["ok", what] for what in ("server", "login", "database", "versions", "snapshots")
    ]


def test_name_may_hold_what_sql_takes_for_its_own(server: Server) -> None:
    url = server.create(suffix="; DROP 'x' {=}")

    assert manage("migrate", "--verbosity", "0", DATABASE_URL=url).returncode == 0


@pytest.mark.parametrize("python_driver", DRIVERS)
def test_migration_may_take_longer_than_a_query(server: Server, python_driver: str) -> None:
    shown = manage(
        *program("any/migration_timeouts"), DATABASE_URL=server.create(python_driver=python_driver, query_timeout="7")
    )

    assert (shown.stdout.splitlines(), shown.stderr) == (["7 -1", "0 30000", "7 -1"], "")


@pytest.mark.parametrize("python_driver", DRIVERS)
def test_migration_does_not_wait_for_a_lock_for_ever(server: Server, python_driver: str) -> None:
    waited = manage(*program("any/migrate_locked_table"), DATABASE_URL=server.create(python_driver=python_driver))

    line = "another connection holds a lock that this needs: wait until it is released, and run this again\n"
    assert (waited.stdout, waited.stderr) == (line, "")


@pytest.mark.parametrize("python_driver", DRIVERS)
@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("database", "the database does not exist, or the login has no user in it: make database creates it"),
        ("password", "the login failed: check the user and password in DATABASE_URL"),
        ("port", "127.0.0.1 does not respond on port 1 (Connection refused): check the host and port"),
    ],
)
def test_what_is_missing_is_named_in_one_line(server: Server, python_driver: str, part: str, line: str) -> None:
    url = urlsplit(server.url(python_driver=python_driver))
    if part == "password":
        url = url._replace(netloc=f"{url.username}:hidden-password@{url.netloc.rpartition('@')[2]}")
    if part == "port":
        url = url._replace(netloc=f"{url.username}:hidden-password@127.0.0.1:1")

    check = manage("database", "--check", DATABASE_URL=url.geturl())
    migrate = manage("migrate", DATABASE_URL=url.geturl())

    assert (check.returncode, migrate.returncode) == (1, 1)
    assert line in check.stdout.splitlines()[-1]
    assert len(migrate.stderr.splitlines()) == 1
    assert "hidden-password" not in check.stdout + migrate.stderr


@pytest.mark.parametrize("python_driver", DRIVERS)
def test_login_without_a_user_in_the_database_is_told_the_statement_that_adds_one(
    server: Server, python_driver: str
) -> None:
    administrator = server.create(python_driver=python_driver)
    login = f"login_{secrets.token_hex(4)}"
    assert execute(administrator, f"CREATE LOGIN {login} WITH PASSWORD = N'{PASSWORD}'") == ("done", "")
    url = urlsplit(administrator)
    own = url._replace(netloc=f"{login}:{PASSWORD}@{url.netloc.rpartition('@')[2]}").geturl()
    try:
        results = [manage(*command, DATABASE_URL=own) for command in (("database",), ("database", "--check"))]
        lines = [results[0].stderr.strip(), results[1].stdout.splitlines()[-1]]

        assert [result.returncode for result in results] == [1, 1]
        for line in lines:
            assert f"the database {url.path.strip('/')} exists, but the login has no user in it" in line
        [statements] = {line.rpartition("runs in it: ")[2] for line in lines}
        create, role = statements.split("; ")
        assert execute(administrator, create) == ("done", "")
        assert manage("database", "--check", DATABASE_URL=own).returncode == 0
        # The compatible server has the role but cannot add members to it.
        outcome, text = execute(administrator, role)
        assert outcome == "done" or "Adding members to db_owner is not currently supported" in text
    finally:
        server.drop(administrator)
        master = url._replace(path="/master").geturl()
        wait_until(lambda: execute(master, f"DROP LOGIN {login}")[0] == "done", timeout=20, what="the login is dropped")


# Characters with special meaning in ODBC connection strings, URLs, SQL or a shell.
PASSWORDS = [
    ";{}=@/:%+ #?&aA1",
    "{b9Xyz!A",
    "}b9Xyz!A",
    "a}b9Xyz!A}",
    "{a9Xyz};x",
    "a;9Xyz}};}",
    "=b9XyzABC",
    "x9;UID=sa;Server=evil",
    "'\"\\9Xyz$HOME",
    "9äXyz😀😀",
    " 9Xyz both ",
]


@pytest.fixture(scope="module")
def database(server: Server) -> str:
    return server.create()


@pytest.mark.parametrize("password", PASSWORDS)
def test_password_of_any_characters_logs_in(server: Server, database: str, password: str) -> None:
    login = f"login_{secrets.token_hex(4)}"
    literal = password.replace("'", "''")
    assert execute(database, f"CREATE LOGIN {login} WITH PASSWORD = N'{literal}'") == ("done", "")
    try:
        url = urlsplit(database)
        netloc = f"{login}:{quote(password, safe='')}@{url.netloc.rpartition('@')[2]}"
        for python_driver in DRIVERS:
            address = url._replace(netloc=netloc, path="/master", query=f"{url.query}&python_driver={python_driver}")
            outcome, text = execute(address.geturl(), "SELECT SUSER_NAME()")
            if python_driver == "mssql_python" and password != password.strip():
                assert "begins or ends with a space" in text
            else:
                assert (outcome, text) == ("done", login)
    finally:
        # The server may take a moment to notice that the login is no longer in use.
        wait_until(lambda: execute(database, f"DROP LOGIN {login}")[0] == "done", timeout=20, what="it is dropped")
