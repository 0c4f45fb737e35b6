from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connection,
)

from servicekit.database.outages import is_unavailable
from servicekit.database.tsql import quote_identifier
from servicekit.database.url import MSSQL_OPTIONS, database_from_env
from servicekit.process.env import ConfigurationError

PASSWORD = "p4ssw0rd-that-must-not-show"


@pytest.fixture(autouse=True)
def environment(clean_environment: None) -> None:
    pass


def database(monkeypatch, url: str):
    monkeypatch.setenv("DATABASE_URL", url)
    return database_from_env(default_path=Path("/state/db.sqlite3"))


def test_unset_is_the_sqlite_file_of_the_service():
    entry = database_from_env(default_path=Path("/state/db.sqlite3"))
    assert (entry["ENGINE"], entry["NAME"]) == ("servicekit.database.sqlite", "/state/db.sqlite3")


def test_sqlite_waits_for_other_writers_and_takes_the_lock_at_once():
    options = database_from_env(default_path=Path("/state/db.sqlite3"))["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["init_command"]
    assert "wal_autocheckpoint=4000" in options["init_command"]
    assert options["timeout"] == 10


def test_sqlite_by_absolute_path(monkeypatch):
    assert database(monkeypatch, "sqlite:////var/my%20files/tasks.db")["NAME"] == "/var/my files/tasks.db"


def test_mssql_with_the_defaults(monkeypatch):
    assert database(monkeypatch, "mssql://sa:secret@db.example/tasks") == {
        "ENGINE": "mssql",
        "NAME": "tasks",
        "HOST": "db.example",
        "PORT": "1433",
        "USER": "sa",
        "PASSWORD": "secret",
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "driver": "ODBC Driver 18 for SQL Server",
            "extra_params": "Encrypt=yes;TrustServerCertificate=no;ConnectRetryCount=0",
            "connection_timeout": 3,
            "connection_retries": 0,
            "query_timeout": 10,
        },
    }


def test_mssql_parts_are_percent_decoded(monkeypatch):
    entry = database(monkeypatch, "mssql://a%40b:p%40%2F%3A%23%3F%25%20%C3%A4@db:1434/my%20tasks")
    assert (entry["USER"], entry["PASSWORD"], entry["HOST"], entry["PORT"], entry["NAME"]) == (
        "a@b",
        "p@/:#?% ä",
        "db",
        "1434",
        "my tasks",
    )


@pytest.mark.parametrize(
    ("encrypt", "trust", "extra_params"),
    [
        ("no", "yes", "Encrypt=no;TrustServerCertificate=yes;ConnectRetryCount=0"),
        ("FALSE", "TRUE", "Encrypt=no;TrustServerCertificate=yes;ConnectRetryCount=0"),
        ("0", "1", "Encrypt=no;TrustServerCertificate=yes;ConnectRetryCount=0"),
        ("strict", "no", "Encrypt=strict;TrustServerCertificate=no;ConnectRetryCount=0"),
        ("mandatory", "0", "Encrypt=yes;TrustServerCertificate=no;ConnectRetryCount=0"),
        ("optional", "false", "Encrypt=no;TrustServerCertificate=no;ConnectRetryCount=0"),
    ],
)
def test_mssql_encryption(monkeypatch, encrypt, trust, extra_params):
    entry = database(monkeypatch, f"mssql://sa:x@db/tasks?encrypt={encrypt}&trust_server_certificate={trust}")
    assert entry["OPTIONS"]["extra_params"] == extra_params


def test_mssql_odbc_driver_by_name(monkeypatch):
    entry = database(monkeypatch, "mssql://sa:x@db/tasks?driver=ODBC+Driver+17+for+SQL+Server&python_driver=pyodbc")
    assert entry["OPTIONS"]["driver"] == "ODBC Driver 17 for SQL Server"
    assert "python_driver" not in entry["OPTIONS"]


def test_mssql_python_driver_takes_no_odbc_driver(monkeypatch):
    options = database(monkeypatch, "mssql://sa:x@db/tasks?python_driver=mssql_python")["OPTIONS"]
    assert options["python_driver"] == "mssql_python"
    assert "driver" not in options


def test_mssql_instance_is_found_by_its_name_and_not_by_a_port(monkeypatch):
    entry = database(monkeypatch, "mssql://sa:x@db/tasks?instance=SQLEXPRESS")
    assert (entry["HOST"], entry["PORT"]) == ("db\\SQLEXPRESS", "")


def test_mssql_address_of_ipv6_has_no_brackets_for_the_driver(monkeypatch):
    entry = database(monkeypatch, "mssql://sa:x@[::1]:1434/tasks")
    assert (entry["HOST"], entry["PORT"]) == ("::1", "1434")


def test_mssql_timeouts(monkeypatch):
    options = database(monkeypatch, "mssql://sa:x@db/tasks?connect_timeout=1&query_timeout=300")["OPTIONS"]
    assert (options["connection_timeout"], options["query_timeout"]) == (1, 300)


# Text that the ODBC syntax, a URL, a shell or a format string could interpret.
ODD = [
    ";{}=@/:%+ #?&",
    "{b",
    "}b",
    "a}",
    "{a};x",
    "a}}b;",
    "=b",
    " lead",
    "trail ",
    "x;UID=eve;Server=evil",
    "'\"\\",
    "ä😀",
]


@pytest.mark.parametrize("odd", ODD)
def test_mssql_password_reaches_the_driver_as_it_is(monkeypatch, odd):
    entry = database(monkeypatch, f"mssql://sa:{quote(odd, safe='')}@db/tasks")
    assert entry["PASSWORD"] == odd
    assert entry["OPTIONS"]["extra_params"] == "Encrypt=yes;TrustServerCertificate=no;ConnectRetryCount=0"


@pytest.mark.parametrize(
    "odd",
    ["no;Server=evil", "yes}", "{yes}", "SQLEXPRESS;UID=eve", "ODBC Driver 18 for SQL Server;Server=evil", "3;x=y"],
)
@pytest.mark.parametrize("option", MSSQL_OPTIONS)
def test_mssql_option_cannot_bring_another_one_along(monkeypatch, option, odd):
    with pytest.raises(ConfigurationError, match=f"^DATABASE_URL: {option} must be "):
        database(monkeypatch, f"mssql://sa:x@db/tasks?{option}={quote(odd, safe='')}")


MALFORMED = {
    "another scheme": ("postgres://sa:{}@db/tasks", "must start with mssql:// or sqlite://"),
    "no scheme": ("{}", "must start with mssql:// or sqlite://"),
    "port not a number": ("mssql://sa:{}@db:port/tasks", "cannot be parsed: the host or port is malformed"),
    "port too large": ("mssql://sa:{}@db:65536/tasks", "cannot be parsed: the host or port is malformed"),
    "bracket left open": ("mssql://sa:{}@[::1/tasks", "cannot be parsed: the host or port is malformed"),
    "password with a bare slash": ("mssql://sa:{}/@db/tasks", "cannot be parsed: the host or port is malformed"),
    "no host": ("mssql://sa:{}@/tasks", "the host is missing: mssql://user:password@host:1433/name"),
    "no password": ("mssql://{}@db/tasks", "the user or the password is missing: mssql://user:password@host:1433/name"),
    "no user": ("mssql://:{}@db/tasks", "the user or the password is missing: mssql://user:password@host:1433/name"),
    "no name": ("mssql://sa:{}@db", "the database's name is missing: mssql://user:password@host:1433/name"),
    "two names": (
        "mssql://sa:{}@db/tasks/more",
        "the database's name is missing: mssql://user:password@host:1433/name",
    ),
    "unknown option": (
        "mssql://sa:{}@db/tasks?timeout=3",
        f"has an unknown option; known are {', '.join(MSSQL_OPTIONS)}",
    ),
    "password with a bare question mark": (
        "mssql://sa:x@y/z?{}@db/tasks",
        f"has an unknown option; known are {', '.join(MSSQL_OPTIONS)}",
    ),
    "bad encrypt": (
        "mssql://sa:{}@db/tasks?encrypt=maybe",
        "encrypt must be one of yes, true, 1, no, false, 0, strict, mandatory, optional",
    ),
    "bad trust": (
        "mssql://sa:{}@db/tasks?trust_server_certificate=",
        "trust_server_certificate must be one of yes, true, 1, no, false, 0",
    ),
    "bad python driver": (
        "mssql://sa:{}@db/tasks?python_driver=odbc",
        "python_driver must be one of pyodbc, mssql_python",
    ),
    "bad driver": (
        "mssql://sa:{}@db/tasks?driver=FreeTDS",
        "driver must be one of Microsoft's, such as ODBC Driver 18 for SQL Server",
    ),
    "driver for the one that needs none": (
        "mssql://sa:{}@db/tasks?python_driver=mssql_python&driver=ODBC+Driver+18+for+SQL+Server",
        "driver is an option of pyodbc; mssql_python brings its own",
    ),
    "option twice": ("mssql://sa:{}@db/tasks?encrypt=no&encrypt=yes", "has encrypt twice"),
    "bad instance": (
        "mssql://sa:{}@db/tasks?instance=1%5C2",
        "instance must be an instance's name, such as SQLEXPRESS",
    ),
    "port and instance": (
        "mssql://sa:{}@db:1433/tasks?instance=SQLEXPRESS",
        "has a port and an instance; the port alone identifies the instance",
    ),
    "instance as SQL Server's tools write it": (
        "mssql://sa:{}@db\\SQLEXPRESS/tasks",
        "the host may only be a name or an address; an instance is ?instance=name, a port follows a colon",
    ),
    "port as SQL Server's tools write it": (
        "mssql://sa:{}@db,1434/tasks",
        "the host may only be a name or an address; an instance is ?instance=name, a port follows a colon",
    ),
    "endless connect": (
        "mssql://sa:{}@db/tasks?connect_timeout=0",
        "connect_timeout must be whole seconds from 1 to 999",
    ),
    "fraction of a second": (
        "mssql://sa:{}@db/tasks?query_timeout=0.5",
        "query_timeout must be whole seconds from 1 to 999",
    ),
    "number sign": ("mssql://sa:{}@db/tasks#1", "contains a #, which must be written %23"),
    "NUL": ("mssql://sa:{}%00@db/tasks", "contains %00, which is not valid in a user, password or name"),
    "space that mssql_python would cut off": (
        "mssql://sa:{}%20@db/tasks?python_driver=mssql_python",
        "the password begins or ends with a space, which mssql_python cuts off; use python_driver=pyodbc",
    ),
    "relative sqlite path": (
        "sqlite:///{}/db.sqlite3",
        "a SQLite path must be absolute and percent-encoded: sqlite:////path/to/file",
    ),
    "sqlite host": ("sqlite://{}/db", "a SQLite path must be absolute and percent-encoded: sqlite:////path/to/file"),
    "sqlite option": (
        "sqlite:////{}?mode=ro",
        "a SQLite path must be absolute and percent-encoded: sqlite:////path/to/file",
    ),
    "sqlite path with a bare number sign": (
        "sqlite:////{}#1",
        "a SQLite path must be absolute and percent-encoded: sqlite:////path/to/file",
    ),
}


@pytest.mark.parametrize(("url", "problem"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_url_stops_the_start_names_the_part_and_shows_no_password(monkeypatch, url, problem):
    with pytest.raises(ConfigurationError) as stop:
        database(monkeypatch, url.format(PASSWORD))
    assert str(stop.value) == f"DATABASE_URL: {problem}"


def test_name_is_quoted_whatever_is_in_it():
    assert quote_identifier("a]; DROP DATABASE x; --'[") == "[a]]; DROP DATABASE x; --'[]"


def odbc(state: str, words: str, number: int, function: str = "SQLExecDirectW") -> tuple[str, str]:
    """Return the arguments of an exception of pyodbc."""
    return state, f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{words} ({number}) ({function})"


def mssql_python(words: str) -> str:
    return f"Driver Error: Syntax error or access violation; DDBC Error: [Microsoft][SQL Server]{words}"


MISSING = 'Cannot open database "tasks" requested by the login. The login failed.'
READ_ONLY = 'Failed to update database "tasks" because the database is read-only.'


def other(state: str) -> str:
    """Return a message with a state for which mssql-python has no class."""
    return f"Driver Error: An error occurred with SQLSTATE code: {state}; DDBC Error: [Microsoft]words"


CONNECT = "SQLDriverConnect"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("error", "unavailable"),
    [
        # By the state.
        (OperationalError(*odbc("08S01", "Communication link failure", 10054)), True),
        (OperationalError(*odbc("HYT00", "Query timeout expired", 0)), True),
        (Error(*odbc("40001", "chosen as the deadlock victim.", 1205)), True),
        (Error(*odbc("HY000", "Connection may have been terminated by the server.", 0)), True),
        (Error(*odbc("HY000", "Cannot continue the execution because the session is in the kill state.", 596)), True),
        (Error(*odbc("IMC06", "The connection is broken and recovery is not possible.", 0)), True),
        (Error(*odbc("IM004", "Driver's SQLAllocHandle on SQL_HANDLE_ENV failed", 0)), True),
        (InterfaceError(*odbc("28000", "Login failed for user 'sa'.", 18456, CONNECT)), True),
        (Error(*odbc("HY104", "Invalid precision value", 0, "SQLBindParameter")), False),
        (Error(*odbc("HY010", "Function sequence error", 0)), False),
        (Error(*odbc("07002", "COUNT field incorrect or syntax error", 0)), False),
        (Error(*odbc("HY000", "Connection is busy with results for another command", 0)), False),
        (Error(*odbc("HY000", "Unicode conversion failed", 0)), False),
        (Error("HY000", "The driver did not supply an error!"), False),
        (InterfaceError(*odbc("IM001", "Driver does not support this function", 0)), False),
        # By the server's number.
        (ProgrammingError(*odbc("42000", MISSING, 4060, CONNECT)), True),
        (ProgrammingError(*odbc("42000", READ_ONLY, 3906)), True),
        (ProgrammingError(*odbc("42000", "Database 'tasks' is not currently available.", 40613)), True),
        (ProgrammingError(*odbc("42000", "The target database is participating in an availability group.", 976)), True),
        (ProgrammingError(*odbc("42000", "Unable to access availability database 'tasks'.", 983)), True),
        (ProgrammingError(*odbc("42000", "Das Transaktionsprotokoll ist voll.", 9002)), True),
        (ProgrammingError(*odbc("42000", "Could not find database ID 7, name 'tasks'.", 615)), True),
        (ProgrammingError(*odbc("42S02", "Invalid object name 'tasks_task'.", 208)), False),
        (ProgrammingError(*odbc("42000", "The SELECT permission was denied on the object 'x'.", 229)), False),
        (IntegrityError(*odbc("23000", "The duplicate key value is ((4060)).", 2627)), False),
        (DataError(*odbc("22001", "Truncated value: 'x (3906)'.", 2628)), False),
        (IntegrityError(*odbc("23000", "The duplicate key value is (x (3906) (SQLX)).", 2627)), False),
        (DataError(*odbc("22001", "Truncated value: 'x (3906) (SQLDriverConnect)'.", 2628)), False),
        # Without a connection, for any state and message.
        (Error(*odbc("01000", "Can't open lib 'ODBC Driver 18 for SQL Server' : file not found", 0, CONNECT)), True),
        (ProgrammingError(*odbc("42000", "Anmeldung nicht erlaubt.", 18470, CONNECT)), True),
        # By mssql-python's class, state or message.
        (OperationalError("Driver Error: Serialization failure"), True),
        (
            OperationalError("Driver Error: Communication link failure; DDBC Error: [Microsoft]TCP Provider: reset"),
            True,
        ),
        (DatabaseError(other("IMC06")), True),
        (ProgrammingError(mssql_python(READ_ONLY)), True),
        (ProgrammingError(mssql_python("The transaction log for database 'tasks' is full due to 'LOG_BACKUP'.")), True),
        (ProgrammingError(mssql_python("Invalid object name 'tasks_task'.")), False),
        (
            OperationalError("Driver Error: General error; DDBC Error: [Microsoft]Connection is busy with results"),
            False,
        ),
        (DatabaseError(other("HY107")), False),
        # Without a driver's state or message: Django's own errors, and SQLite's.
        (OperationalError("database is locked"), True),
        (InterfaceError("connection already closed"), True),
        (DatabaseError("unknown"), False),
        (ProgrammingError("Cannot operate on a closed database."), False),
        (Error(), False),
        (ValueError("4060"), False),
    ],
    ids=str,
)
def test_database_is_unavailable_if_no_statement_is_at_fault(error, unavailable):
    connection.ensure_connection()
    assert is_unavailable(error) is unavailable


def test_connection_that_does_not_come_about_is_the_databases_fault_in_any_words(monkeypatch):
    monkeypatch.setattr(connection, "connection", None)
    assert is_unavailable(ProgrammingError("Driver Error: …; DDBC Error: Impossible d'ouvrir la base de données"))
    # Without a connection attempt.
    assert not is_unavailable(ProgrammingError("Cannot operate on a closed database."))
