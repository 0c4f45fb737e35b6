"""Print the database's variables as the launcher derives them from the shell and .env."""

import json
import os

print(json.dumps({name: os.environ[name] for name in ("DATABASE_URL", "ODBCSYSINI") if name in os.environ}))
