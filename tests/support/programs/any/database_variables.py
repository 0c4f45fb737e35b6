"""Print what the launcher has made of the shell and of .env, as far as a database needs it."""

import json
import os

print(json.dumps({name: os.environ[name] for name in ("DATABASE_URL", "ODBCSYSINI") if name in os.environ}))
