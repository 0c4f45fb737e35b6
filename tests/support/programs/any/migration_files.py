"""Print the service's migrations as JSON: app, name and, for those in its own folder, the file's SHA-256."""

import hashlib
import json
import sys
from pathlib import Path

import django

django.setup()

from django.db.migrations.loader import MigrationLoader

here = Path.cwd()
migrations = []
for (app, name), migration in sorted(MigrationLoader(None, ignore_no_migrations=True).disk_migrations.items()):
    path = Path(str(sys.modules[migration.__module__].__file__))
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_relative_to(here) else ""
    migrations.append({"app": app, "name": name, "sha256": digest})
print(json.dumps(migrations))
