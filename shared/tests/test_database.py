from pathlib import Path

import pytest

from servicekit.database import database_from_env
from servicekit.env import ConfigurationError

PASSWORD = "p4ssw0rd-that-must-not-show"


@pytest.fixture(autouse=True)
def environment(clean_environment: None) -> None:
    pass


def database(monkeypatch, url: str):
    monkeypatch.setenv("DATABASE_URL", url)
    return database_from_env(default_path=Path("/state/db.sqlite3"))


def test_unset_is_the_sqlite_file_of_the_service():
    entry = database_from_env(default_path=Path("/state/db.sqlite3"))
    assert (entry["ENGINE"], entry["NAME"]) == ("django.db.backends.sqlite3", "/state/db.sqlite3")


def test_sqlite_waits_for_other_writers_and_takes_the_lock_at_once():
    options = database_from_env(default_path=Path("/state/db.sqlite3"))["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["init_command"]
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
            "extra_params": "Encrypt=yes;TrustServerCertificate=no",
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
        ("no", "yes", "Encrypt=no;TrustServerCertificate=yes"),
        ("FALSE", "TRUE", "Encrypt=no;TrustServerCertificate=yes"),
        ("0", "1", "Encrypt=no;TrustServerCertificate=yes"),
        ("strict", "no", "Encrypt=strict;TrustServerCertificate=no"),
        ("mandatory", "0", "Encrypt=yes;TrustServerCertificate=no"),
        ("optional", "false", "Encrypt=no;TrustServerCertificate=no"),
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
        "has an unknown option; known are driver, encrypt, trust_server_certificate and python_driver",
    ),
    "password with a bare question mark": (
        "mssql://sa:x@y/z?{}@db/tasks",
        "has an unknown option; known are driver, encrypt, trust_server_certificate and python_driver",
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
