"""Distinguish an unavailable database from a bug in our code by the driver's error."""

import re

from django.db import Error as DatabaseLayerError
from django.db import InterfaceError, OperationalError, connection

# SQL Server's error numbers for a database that is unavailable for now: missing, not recovered, offline, being
# restored, in transition, on another replica, read-only, full, or short of memory or locks; for a deadlock victim; for
# a killed session; and for a database that Azure moves or throttles. Most arrive as ProgrammingError (SQLSTATE 42000).
# https://learn.microsoft.com/en-us/sql/relational-databases/errors-events/database-engine-events-and-errors
_UNAVAILABLE_CODES = frozenset(
    {
        *(596, 701, 802, 904, 911, 921, 922, 923, 924, 926, 927, 942, 945, 952, 954, 955, 976, 978, 979, 981, 982, 983),
        *(988, 1101, 1105, 1204, 1205, 1222, 3906, 3908, 3958, 3966, 4060, 6005, 8645, 9001, 9002),
        *(615, 4221, 10928, 10929, 40020, 40143, 40166, 40197, 40501, 40540, 40544, 40613, 49918, 49919, 49920),
    }
)
# SQLSTATEs that mean the same for a connection or a whole transaction; drivers differ in which they use. HY000 results
# from a server that stops during a response, or from a killed session. IM001 means that the driver lacks a function.
# https://learn.microsoft.com/en-us/sql/odbc/reference/appendixes/appendix-a-odbc-error-codes
_UNAVAILABLE_STATES = re.compile(
    r"01002|08\w{3}|28000|4000[13]|HY000|HY001|HY008|HY01[34]|HYT0[01]|IM0(?!01)\d\d|IMC\d\d"
)
# Also HY000, but bugs: an earlier result was not read to its end, or the driver itself is at fault.
_DEFECTS = re.compile(
    "Connection is busy with results|Unicode conversion failed|The driver did not supply an error!",
)
# A value is invalid. The message quotes it, and so may contain any number.
_VALUE_STATES = ("22", "23")
# pyodbc gives the state first, then the messages, each as [state] … (number) (function). A message may quote a name, so
# only the first number followed by a function is the server's.
_STATE = re.compile(r"[0-9A-Z]{5}")
_NUMBER = re.compile(r"\((-?\d+)\) \((SQL\w+)\)")
# mssql-python gives only text, and a class for each state; a state without a class appears in the text.
_OTHER_DRIVER = "Driver Error: "
_OTHER_STATE = re.compile(r"SQLSTATE code: ([0-9A-Z]{5})")
# The server's messages, in English only, for failures on an open connection.
_UNAVAILABLE_WORDS = re.compile(
    "because the database is read-only|Could not allocate space|The transaction log for database"
)


def is_unavailable(error: Exception) -> bool:
    """Return whether the error means that the database is unavailable now, rather than that our statement is wrong."""
    if not isinstance(error, DatabaseLayerError):
        return False
    text = str(error)
    if _DEFECTS.search(text):
        return False
    state = error.args[0] if error.args else None
    if isinstance(state, str) and _STATE.fullmatch(state):
        if state.startswith(_VALUE_STATES):
            return False
        return _UNAVAILABLE_STATES.fullmatch(state) is not None or _is_unavailable_by_number(text)
    if isinstance(error, OperationalError | InterfaceError):
        return True
    if not text.startswith(_OTHER_DRIVER):
        return False
    other = _OTHER_STATE.search(text)
    if other is not None and _UNAVAILABLE_STATES.fullmatch(other[1]):
        return True
    # Without a connection, no statement can be at fault.
    return connection.connection is None or _UNAVAILABLE_WORDS.search(text) is not None


def _is_unavailable_by_number(text: str) -> bool:
    found = _NUMBER.search(text)
    # While connecting, no statement can be at fault.
    return found is not None and (int(found[1]) in _UNAVAILABLE_CODES or found[2] == "SQLDriverConnect")
