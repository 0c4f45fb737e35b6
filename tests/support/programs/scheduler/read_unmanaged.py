"""Print the rows of each unmanaged model."""

import json

import django

django.setup()

from django.apps import apps

print(
    json.dumps(
        {
            model._meta.db_table: [
                list(map(str, row)) for row in model._default_manager.values_list("owner_id", "title", "duration")
            ]
            for model in apps.get_models()
            if not model._meta.managed
        }
    )
)
