import pytest
from django.db import Error, InterfaceError, OperationalError

from servicekit.diagnosis import explain

PYODBC = "[{}] [Microsoft][ODBC Driver 18 for SQL Server]{}"
MSSQL_PYTHON = "Driver Error: {}; DDBC Error: [Microsoft]{}"

# As the drivers report them; what only Microsoft's own server says is from its documentation.
REPORTS = {
    "missing database": (
        "the database does not exist",
        PYODBC.format("08004", '[SQL Server]database "nope" does not exist (911) (SQLDriverConnect)'),
        MSSQL_PYTHON.format("Server rejected the connection", '[SQL Server]database "nope" does not exist'),
        PYODBC.format(
            "42000",
            '[SQL Server]Cannot open database "nope" requested by the login. The login failed. (4060);'
            " [28000] [SQL Server]Login failed for user 'sa'. (18456)",
        ),
    ),
    "wrong password": (
        "the login failed",
        PYODBC.format("28000", '[SQL Server]Login failed for user "sa" (18456) (SQLDriverConnect)'),
        MSSQL_PYTHON.format("Invalid authorization specification", '[SQL Server]Login failed for user "sa"'),
    ),
    "no right": (
        "the login may not do this",
        PYODBC.format("42000", "[SQL Server]CREATE DATABASE permission denied in database 'master'. (262)"),
        "User does not have permission to alter database 'tasks'",
    ),
    "in use": (
        "others are connected",
        "Database state cannot be changed while other users are using the database 'tasks' (5070)",
    ),
    "certificate": (
        "the server's certificate is not trusted",
        PYODBC.format(
            "08001", "SSL Provider: [error:0A000086:SSL routines::certificate verify failed:self-signed certificate]"
        ),
    ),
    "no driver": (
        "the ODBC driver is missing",
        "('IM002', '[IM002] [unixODBC][Driver Manager]Data source name not found and no default driver specified')",
        "[01000] [unixODBC][Driver Manager]Can't open lib 'ODBC Driver 18 for SQL Server' : file not found",
    ),
    "away": (
        "the server does not answer",
        PYODBC.format("HYT00", "Login timeout expired (0) (SQLDriverConnect)"),
        PYODBC.format("08001", "TCP Provider: Error code 0x2749 (10057)"),
        MSSQL_PYTHON.format("Client unable to establish connection", "TCP Provider: Error code 0x68"),
    ),
}


@pytest.mark.parametrize(
    ("meaning", "report"),
    [(meaning, report) for meaning, *reports in REPORTS.values() for report in reports],
    ids=[name for name, (_, *reports) in REPORTS.items() for _ in reports],
)
@pytest.mark.parametrize("kind", [Error, InterfaceError, OperationalError])
def test_report_of_a_driver_becomes_one_line(kind, meaning, report):
    assert explain(kind(report)).startswith(meaning)


def test_report_that_is_not_known_is_told_as_it_is_on_one_line():
    assert explain(OperationalError("disk I/O\n error")) == "disk I/O error"
