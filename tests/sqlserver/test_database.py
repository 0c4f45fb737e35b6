"""`make database`, and who may log in, on the server itself and through both drivers."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

DRIVERS = ("pyodbc", "mssql_python")

# As the database's owner: the statement is given, the answer printed.
EXECUTE = """
import os, django
django.setup()
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute(os.environ["STATEMENT"])
    print(cursor.fetchone()[0] if cursor.description else "")
"""


def execute(manage: Any, url: str, statement: str) -> Any:
    return manage("-c", EXECUTE, DATABASE_URL=url, STATEMENT=statement)


@pytest.mark.parametrize("python_driver", DRIVERS)
def test_database_is_made_once_however_many_ask_for_it(server, manage, python_driver: str) -> None:
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


def test_name_may_hold_what_sql_takes_for_its_own(server, manage) -> None:
    url = server.made(suffix="; DROP 'x' {=}")

    assert manage("migrate", "--verbosity", "0", DATABASE_URL=url).returncode == 0


# In place of the migrations: what drivers and server were told, while migrating and afterwards.
TIMEOUTS = """
import django
django.setup()
from django.core.management import call_command
from django.core.management.commands import migrate
from django.db import connection

def show(*args, **options):
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@LOCK_TIMEOUT")
        print(connection.connection.timeout, cursor.fetchone()[0])

migrate.Command.handle = show
show()
call_command("migrate")
show()
"""


@pytest.mark.parametrize("python_driver", DRIVERS)
def test_migration_may_take_longer_than_a_query(server, manage, python_driver: str) -> None:
    shown = manage("-c", TIMEOUTS, DATABASE_URL=server.made(python_driver=python_driver, query_timeout="7"))

    assert (shown.stdout.splitlines(), shown.stderr) == (["7 -1", "0 30000", "7 -1"], "")


# A migration of a table whose rows another connection writes.
LOCKED = """
import django
django.setup()
from django.core.management import CommandError, call_command
from django.core.management.commands import migrate as django_migrate
from django.db import connection, transaction
from servicekit.management.commands import migrate

with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE more (id int)")
other = connection.copy()
other.set_autocommit(False)
with other.cursor() as cursor:
    cursor.execute("INSERT INTO more (id) VALUES (1)")

def alter(*args, **options):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE more ADD name int")

migrate.LOCK_TIMEOUT_MILLISECONDS = 500
django_migrate.Command.handle = alter
try:
    call_command("migrate")
except CommandError as error:
    print(error)
finally:
    other.rollback()
    other.close()
"""


@pytest.mark.parametrize("python_driver", DRIVERS)
def test_migration_does_not_wait_for_a_lock_for_ever(server, manage, python_driver: str) -> None:
    waited = manage("-c", LOCKED, DATABASE_URL=server.made(python_driver=python_driver))

    line = "another connection holds a lock that this needs: wait until it ends, and run this again\n"
    assert (waited.stdout, waited.stderr) == (line, "")


@pytest.mark.parametrize("python_driver", DRIVERS)
@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("database", "the database does not exist, or the login has no user in it: make database creates it"),
        ("password", "the login failed: check the user and password in DATABASE_URL"),
        ("port", "127.0.0.1 does not answer on port 1 (Connection refused): check the host and port"),
    ],
)
def test_what_is_missing_is_named_in_one_line(server, manage, python_driver: str, part: str, line: str) -> None:
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


# What the ODBC syntax, a URL, SQL or a shell could take for its own.
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
def database(server) -> str:
    return server.made()


@pytest.mark.parametrize("password", PASSWORDS)
def test_password_of_any_characters_logs_in(server, manage, database: str, password: str) -> None:
    login = f"login_{secrets.token_hex(4)}"
    literal = password.replace("'", "''")
    made = execute(manage, database, f"CREATE LOGIN {login} WITH PASSWORD = N'{literal}'")
    assert made.returncode == 0, made.stderr
    try:
        url = urlsplit(database)
        netloc = f"{login}:{quote(password, safe='')}@{url.netloc.rpartition('@')[2]}"
        for python_driver in DRIVERS:
            address = url._replace(netloc=netloc, path="/master", query=f"{url.query}&python_driver={python_driver}")
            answer = execute(manage, address.geturl(), "SELECT SUSER_NAME()")
            if python_driver == "mssql_python" and password != password.strip():
                assert "begins or ends with a space" in answer.stderr
            else:
                assert (answer.stdout.strip(), answer.stderr) == (login, "")
    finally:
        # The server may take a moment to see that nobody is logged in.
        for _ in range(20):
            if execute(manage, database, f"DROP LOGIN {login}").returncode == 0:
                break
