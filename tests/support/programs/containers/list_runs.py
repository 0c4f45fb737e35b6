"""Print slot, state and attempts of every scheduled run, ordered by slot."""

import json
import sqlite3

connection = sqlite3.connect("/data/db.sqlite3", timeout=30)
rows = connection.execute("SELECT slot, state, attempts FROM jobs_run WHERE requested_by = 0 ORDER BY slot")
print(json.dumps([(slot.replace(" ", "T") + "+00:00", state, attempts) for slot, state, attempts in rows]))
