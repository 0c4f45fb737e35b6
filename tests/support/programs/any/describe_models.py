"""Print the columns of the "managed" or "unmanaged" models, each with its type and whether it may be NULL."""

import json
import sys

import django

django.setup()

from django.apps import apps
from django.db import connection

managed = sys.argv[1] == "managed"
print(
    json.dumps(
        {
            model._meta.db_table: {
                field.column: [field.rel_db_type(connection), field.null] for field in model._meta.concrete_fields
            }
            for model in apps.get_models()
            if model._meta.managed is managed
        }
    )
)
