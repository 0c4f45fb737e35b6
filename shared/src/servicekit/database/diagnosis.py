"""What a failure of SQL Server means to whoever set it up, and what helps."""

import re

LOCKED = "somebody holds a lock on what this needs: let that end, and run this again"

# In this order: to what is wrong with a database (4060) the server adds that the login failed (18456). pyodbc gives the
# server's numbers, in brackets at the end of its message, and mssql-python its words alone.
# https://learn.microsoft.com/en-us/sql/relational-databases/errors-events/database-engine-events-and-errors
_MEANINGS = (
    (
        r"\((4060|911)\)|Cannot open database|database .* does not exist",
        "the database does not exist, or the login may not use it: make database creates it",
    ),
    (
        r"\(18456\)|Login failed for",
        "the login failed: see the user and the password in DATABASE_URL, and that the server takes SQL logins",
    ),
    (
        r"\((262|297|5011)\)|permission (was )?denied|not have permission",
        "the login may not do this: let an administrator do it once, or grant it the right",
    ),
    (
        r"\((5061|5070)\)|while other users are using",
        "others are connected to the database: stop them, and run this again",
    ),
    (r"\(1222\)|Lock request time out|due to lock timeout|Query timeout expired", LOCKED),
    (
        r"\(15063\)|already has an account under a different user name",
        "the login is in this database under another name already, such as dbo, its owner: choose another login",
    ),
    (
        r"does not match host name|host ?name mismatch|principal name is incorrect",
        "the server's certificate is for another name: give DATABASE_URL the host's name as the certificate has it"
        " (an address does not match), or, on a laptop only, add trust_server_certificate=yes",
    ),
    (
        r"certificate verify failed|self[- ]signed|certificate chain",
        "the server's certificate is not trusted: install its authority, or, on a laptop only, add"
        " trust_server_certificate=yes to DATABASE_URL",
    ),
    (
        r"SSL Provider: |Encryption\(ssl/tls\) handshake failed|Encryption not supported on|requires Encryption On",
        "the server and the driver agree on no encryption: see that the server takes TLS 1.2 or newer with a key of"
        " 2048 bits or more, and what this machine's openssl.cnf asks for",
    ),
    (
        # ECONNRESET, as a number of Windows and of Linux.
        r"0x2746|0x68\b",
        "the server ends the connection before the login: encrypt=strict is for SQL Server 2022 and newer, a server"
        " that has just been started may need a moment, or it shares no TLS version with this machine's OpenSSL",
    ),
    (
        r"IM002|Can't open lib",
        "the ODBC driver is missing: make registers the one in its wheel, elsewhere install Microsoft's",
    ),
    (
        r"HYT00|08001|Login timeout|Client unable to establish connection",
        "the server does not answer: see the host and the port in DATABASE_URL, that the server runs, that TCP is"
        " enabled, and the firewall",
    ),
)


def explain(error: Exception) -> str:
    """One line for a person; for what is not known here the driver's own words, which hold no password."""
    text = " ".join(str(error).split())
    return next((meaning for pattern, meaning in _MEANINGS if re.search(pattern, text)), text)
