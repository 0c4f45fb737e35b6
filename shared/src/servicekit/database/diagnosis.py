"""Explain errors of SQL Server to the operator, with the remedy."""

import re

LOCKED = "another connection holds a lock that this needs: wait until it is released, and run this again"
UNUSABLE = (
    "the database does not exist, or the login has no user in it: make database creates it, or explains how to add one"
)

# The order matters: with an unusable database (4060), the server also reports a failed login (18456). pyodbc appends
# the server's numbers to its message in parentheses; mssql-python gives only the server's text.
# https://learn.microsoft.com/en-us/sql/relational-databases/errors-events/database-engine-events-and-errors
_MEANINGS = (
    (
        r"\((4060|911)\)|Cannot open database|database .* does not exist",
        UNUSABLE,
    ),
    (
        r"\(18456\)|Login failed for",
        "the login failed: check the user and password in DATABASE_URL, and that the server accepts SQL logins",
    ),
    (
        r"\((262|297|5011)\)|permission (was )?denied|not have permission",
        "the login may not do this: have an administrator do it once, or grant the permission",
    ),
    (
        r"\((5061|5070)\)|while other users are using",
        "other connections to the database are open: stop those programs, and run this again",
    ),
    (r"\(1222\)|Lock request time out|due to lock timeout|Query timeout expired", LOCKED),
    (
        r"\(15063\)|already has an account under a different user name",
        "the login already has a user of another name in this database, such as dbo, its owner: choose another login",
    ),
    (
        r"does not match host name|host ?name mismatch|principal name is incorrect",
        "the server's certificate is for another name: in DATABASE_URL, use the host name in the certificate"
        " (an IP address does not match), or, on a laptop only, add trust_server_certificate=yes",
    ),
    (
        r"certificate verify failed|self[- ]signed|certificate chain",
        "the server's certificate is not trusted: install its certificate authority, or, on a laptop only, add"
        " trust_server_certificate=yes to DATABASE_URL",
    ),
    (
        r"SSL Provider: |Encryption\(ssl/tls\) handshake failed|Encryption not supported on|requires Encryption On",
        "the server and the driver cannot agree on encryption: check that the server accepts TLS 1.2 or newer with a"
        " key of at least 2048 bits, and the requirements in this machine's openssl.cnf",
    ),
    (
        # ECONNRESET: its numbers on Windows and Linux.
        r"0x2746|0x68\b",
        "the server closes the connection before the login: encrypt=strict needs SQL Server 2022 or newer, a server"
        " that has just started may need a moment, or it shares no TLS version with this machine's OpenSSL",
    ),
    (
        r"IM002|Can't open lib",
        "the ODBC driver is missing: make registers the one from its wheel; elsewhere install Microsoft's",
    ),
    (
        r"HYT00|08001|Login timeout|Client unable to establish connection",
        "the server does not respond: check the host and port in DATABASE_URL, that the server runs, that TCP is"
        " enabled, and the firewall",
    ),
)


def explain(error: Exception) -> str:
    """Return a one-line explanation; for an unknown error, the driver's own text, which contains no password."""
    text = " ".join(str(error).split())
    return next((meaning for pattern, meaning in _MEANINGS if re.search(pattern, text)), text)
