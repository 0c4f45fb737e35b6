import pytest
from django.db import Error, InterfaceError, OperationalError

from servicekit.database.diagnosis import explain

PYODBC = "[{}] [Microsoft][ODBC Driver 18 for SQL Server]{}"
MSSQL_PYTHON = "Driver Error: {}; DDBC Error: [Microsoft]{}"

# As the drivers report them; messages that only Microsoft's own server sends are from its documentation.
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
        "other connections to the database are open",
        "Database state cannot be changed while other users are using the database 'tasks' (5070)",
    ),
    "lock": (
        "another connection holds a lock that this needs",
        PYODBC.format("42000", "[SQL Server]Lock request time out period exceeded. (1222) (SQLExecDirectW)"),
        PYODBC.format("HYT00", "Query timeout expired (0) (SQLExecDirectW)"),
        MSSQL_PYTHON.format("Timeout expired", "Query timeout expired"),
    ),
    "owner": (
        "the login already has a user of another name in this database",
        PYODBC.format(
            "42000",
            "[SQL Server]The login already has an account under a different user name. (15063) (SQLExecDirectW)",
        ),
    ),
    "certificate": (
        "the server's certificate is not trusted",
        PYODBC.format(
            "08001", "SSL Provider: [error:0A000086:SSL routines::certificate verify failed:self-signed certificate]"
        ),
        PYODBC.format("08001", "SSL Provider: The certificate chain was issued by an authority that is not trusted."),
    ),
    "certificate of another": (
        "the server's certificate is for another name",
        PYODBC.format(
            "08001",
            "SSL Provider: [error:0A000086:SSL routines::certificate verify failed:subject name does not match host"
            " name] (-1) (SQLDriverConnect)",
        ),
        MSSQL_PYTHON.format(
            "Client unable to establish connection",
            "SSL Provider: [error:0A000086:SSL routines::certificate verify failed:subject name does not match host"
            " name]",
        ),
        PYODBC.format("08001", "SSL Provider: The target principal name is incorrect. (-2146893022)"),
    ),
    "no TLS in common": (
        "the server and the driver cannot agree on encryption",
        PYODBC.format(
            "08001",
            "SSL Provider: [error:0A00042E:SSL routines::tlsv1 alert protocol version:SSL alert number 70] (-1)"
            " (SQLDriverConnect)",
        ),
        MSSQL_PYTHON.format(
            "Client unable to establish connection",
            "SSL Provider: [error:1425F102:SSL routines:ssl_choose_client_version:unsupported protocol]",
        ),
        PYODBC.format("08001", "SSL Provider: [error:0A00018A:SSL routines::dh key too small] (-1)"),
        PYODBC.format("08001", "Encryption not supported on SQL Server. (22) (SQLDriverConnect)"),
    ),
    "reset": (
        "the server closes the connection before the login",
        PYODBC.format("08001", "TCP Provider: Error code 0x2746 (10054) (SQLDriverConnect)"),
        MSSQL_PYTHON.format("Client unable to establish connection", "TCP Provider: Error code 0x68"),
    ),
    "no driver": (
        "the ODBC driver is missing",
        "('IM002', '[IM002] [unixODBC][Driver Manager]Data source name not found and no default driver specified')",
        "[01000] [unixODBC][Driver Manager]Can't open lib 'ODBC Driver 18 for SQL Server' : file not found",
    ),
    "unreachable": (
        "the server does not respond",
        PYODBC.format("HYT00", "Login timeout expired (0) (SQLDriverConnect)"),
        PYODBC.format("08001", "TCP Provider: Error code 0x2749 (10057)"),
        # The driver adds this to all of these.
        MSSQL_PYTHON.format(
            "Client unable to establish connection",
            "TCP Provider: Error code 0x2AF9; Client unable to establish connection. For solutions related to"
            " encryption errors, see https://go.microsoft.com/fwlink/?linkid=2226722",
        ),
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
