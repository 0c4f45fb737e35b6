"""Run the statements of a JSON list on one connection; print each one's first value or error as JSON."""

import json
import sys

import django

django.setup()

from django.db import Error, connection

outcomes = []
for statement in json.loads(sys.argv[1]):
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            outcomes.append(["done", str((cursor.fetchone() or [""])[0]) if cursor.description else ""])
    except Error as error:
        outcomes.append(["refused", str(error)])
print(json.dumps(outcomes))
