"""``python -m servicekit.openapi.document APP…``: print a service's part of the OpenAPI document.

DJANGO_SETTINGS_MODULE names the service, and ``APP.openapi`` describes the views of each of its apps. Whatever
drf-spectacular cannot determine is an error: otherwise it would guess.
"""

import json
import sys
from importlib import import_module

import django
from django.conf import settings


def main(*apps: str) -> None:
    # Before Django REST framework is imported, which then reads its settings.
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_SCHEMA_CLASS": "servicekit.openapi.operations.AutoSchema",
    }
    settings.SPECTACULAR_SETTINGS = {
        "OAS_VERSION": "3.1.1",
        # A PATCH has its own serializer, whose members are as required as it says.
        "COMPONENT_SPLIT_PATCH": False,
        # The order of the routes, which is how they are read best.
        "SORT_OPERATIONS": False,
        "SORT_OPERATION_PARAMETERS": False,
        "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
        "POSTPROCESSING_HOOKS": [],
    }
    django.setup()
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import SchemaGenerator

    described = {app: import_module(f"{app}.openapi") for app in apps}
    document = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    if GENERATOR_STATS:
        GENERATOR_STATS.emit_summary()
        raise SystemExit(1)
    paths = {}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["tags"] = [described[app].TAG["name"] for app in operation["tags"]]
        # The routes take a slash at the end as well; the document names the one form.
        paths[path.rstrip("/")] = operations
    components = document["components"]
    for module in described.values():
        components["schemas"] = {**module.SCHEMAS, **components["schemas"]}
    result = {"tags": [module.TAG for module in described.values()], "paths": paths, "components": components}
    # What is sent to others; most apps send nothing.
    webhooks = {name: item for module in described.values() for name, item in getattr(module, "WEBHOOKS", {}).items()}
    json.dump(result | ({"webhooks": webhooks} if webhooks else {}), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
