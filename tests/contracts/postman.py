"""The Postman collection, and the operations of the API that it has to call."""

import json
import re
from collections.abc import Iterator
from typing import Any

from .conftest import CHECKOUT, run

COLLECTION = CHECKOUT / "postman/task-api.postman_collection.json"
ENVIRONMENT = CHECKOUT / "postman/task-api.postman_environment.json"

SERVICES = ("auth", "tasks", "scheduler")
# The gateway's own; those of the services cannot be reached through it.
PROBES = {("GET", "/healthz"), ("GET", "/readyz")}

LIST_OPERATIONS = """
import json, django
django.setup()
from django.contrib.admindocs.utils import replace_metacharacters, replace_named_groups
from django.urls import URLResolver, get_resolver

def walk(patterns, prefix=""):
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, path)
        elif hasattr(pattern.callback, "cls"):
            for method in ("get", "post", "put", "patch", "delete"):
                if hasattr(pattern.callback.cls, method):
                    yield method.upper(), "/" + replace_metacharacters(replace_named_groups(path)).strip("/")

print(json.dumps(list(walk(get_resolver().url_patterns))))
"""


def operations(environment: dict[str, str]) -> set[tuple[str, str]]:
    """Every method and path of the API, as ("GET", "/api/tasks/{}")."""
    found = set(PROBES)
    for service in SERVICES:
        for method, path in json.loads(run(service, "-c", LIST_OPERATIONS, environment=environment)):
            found.add((method, re.sub(r"<\w+>", "{}", path)))
    return found


def requests() -> list[dict[str, Any]]:
    """Every request of the collection, in the order in which they are run."""
    return list(_leaves(json.loads(COLLECTION.read_text(encoding="utf-8"))))


def _leaves(folder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in folder["item"]:
        if "item" in item:
            yield from _leaves(item)
        else:
            yield item


def operation(item: dict[str, Any]) -> tuple[str, str]:
    """What a request calls, in the form of operations(): a number in a path stands where a variable could."""
    path = "/" + "/".join(item["request"]["url"]["path"])
    return item["request"]["method"], re.sub(r"/(\{\{\w+\}\}|\d+)(?=/|$)", "/{}", path)


def script(item: dict[str, Any], listen: str) -> str:
    """A request's own script: "prerequest" or "test"."""
    return "\n".join(line for event in item["event"] if event["listen"] == listen for line in event["script"]["exec"])
