"""``python -m servicekit.openapi.document APP…``: print a service's part of the OpenAPI document.

DJANGO_SETTINGS_MODULE names the service, and ``APP.openapi`` describes the views of each of its apps. Anything that
drf-spectacular cannot determine, and would otherwise guess, is an error.
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
        # A PATCH has its own serializer, which declares the required members.
        "COMPONENT_SPLIT_PATCH": False,
        # Keep the order of the routes, which reads best.
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
        # The routes also accept a trailing slash; the document lists only the form without it.
        paths[path.rstrip("/")] = operations
    components = document["components"]
    for module in described.values():
        components["schemas"] = {**module.SCHEMAS, **components["schemas"]}
    result = {"tags": [module.TAG for module in described.values()], "paths": paths, "components": components}
    # The requests that an app sends to clients; most apps send none.
    webhooks = {name: item for module in described.values() for name, item in getattr(module, "WEBHOOKS", {}).items()}
    json.dump(result | ({"webhooks": webhooks} if webhooks else {}), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
