"""Replace the extra tasks of user 1 by as many new ones as the argument specifies."""

import sqlite3
import sys

count, now = int(sys.argv[1]), "2026-01-01 00:00:00"
connection = sqlite3.connect("/data/db.sqlite3", timeout=30)
with connection:
    connection.execute("DELETE FROM tasks_task WHERE title LIKE 'filling %'")
    connection.executemany(
        "INSERT INTO tasks_task (owner_id, title, duration, version, created_at, updated_at) VALUES (1, ?, 5, 1, ?, ?)",
        ((f"filling {number}", now, now) for number in range(count)),
    )
