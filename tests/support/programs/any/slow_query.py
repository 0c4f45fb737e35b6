"""Run a query of some seconds; print the error that ended it, whether it counts as unavailable, and the seconds.

It is that short because the compatible server may continue it after the client has disconnected.
"""

import time

import django

django.setup()

from django.db import Error, connection

from servicekit.database.outages import is_unavailable

MANY = "SELECT TOP (30000000) 1 AS one FROM sys.all_columns a, sys.all_columns b, sys.all_columns c"

connection.ensure_connection()
started = time.monotonic()
try:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT_BIG(*) FROM ({MANY}) AS many")
        cursor.fetchall()
except Error as error:
    print(type(error).__name__, is_unavailable(error), round(time.monotonic() - started, 1))
