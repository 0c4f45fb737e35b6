"""Print the SQL Server types of the values that Django binds."""

import datetime
import json
from typing import Any

import django

django.setup()

from django.db import connection

now = connection.ops.adapt_datetimefield_value(datetime.datetime.now(datetime.UTC))
values: dict[str, Any] = {"small": 7, "large": 2**63 - 1, "text": "x", "time": now}
types = {}
for name, value in values.items():
    with connection.cursor() as cursor:
        cursor.execute("SELECT CAST(SQL_VARIANT_PROPERTY(%s, 'BaseType') AS nvarchar(128))", [value])
        types[name] = cursor.fetchone()[0]
print(json.dumps(types))
