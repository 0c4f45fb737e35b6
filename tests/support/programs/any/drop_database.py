"""Drop the database that DATABASE_URL names and its services' logins, if they exist."""

import time

import django

django.setup()

from django.db import Error, connection

ATTEMPTS = 50


def drop(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT DB_ID(%s)", [name])
        if cursor.fetchone()[0] is not None:
            cursor.execute(f"DROP DATABASE [{name.replace(']', ']]')}]")
        for service in ("auth", "tasks", "scheduler"):
            cursor.execute("SELECT SUSER_ID(%s)", [f"{name}_{service}"])
            if cursor.fetchone()[0] is not None:
                cursor.execute(f"DROP LOGIN [{name}_{service}]")


database = connection.settings_dict["NAME"]
connection.settings_dict["NAME"] = "master"
for attempt in range(1, ATTEMPTS + 1):
    try:
        drop(database)
        break
    except Error:
        # The server may still count a connection that has just been closed.
        if attempt == ATTEMPTS:
            raise
        time.sleep(0.2)
