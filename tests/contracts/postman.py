"""The Postman collection, and the operations of the API that it must call."""

import json
import re
from collections.abc import Iterator
from typing import Any

from support.paths import CHECKOUT

COLLECTION = CHECKOUT / "postman/task-api.postman_collection.json"
ENVIRONMENT = CHECKOUT / "postman/task-api.postman_environment.json"

DOCUMENT = CHECKOUT / "console/openapi.json"
METHODS = {"get", "post", "put", "patch", "delete"}


def operations() -> set[tuple[str, str]]:
    """Return every method and path of the OpenAPI document, as ("GET", "/api/tasks/{}")."""
    paths = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
    return {
        (method.upper(), re.sub(r"{\w+}", "{}", path)) for path, item in paths.items() for method in METHODS & set(item)
    }


def successes() -> set[tuple[str, str, int]]:
    """Return every operation with each of its successful statuses."""
    paths = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
    return {
        (method.upper(), re.sub(r"{\w+}", "{}", path), int(status))
        for path, item in paths.items()
        for method in METHODS & set(item)
        for status in item[method]["responses"]
        if int(status) < 400
    }


def requests() -> list[dict[str, Any]]:
    """Return every request of the collection in the order of execution."""
    return list(_leaves(json.loads(COLLECTION.read_text(encoding="utf-8"))))


def _leaves(folder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in folder["item"]:
        if "item" in item:
            yield from _leaves(item)
        else:
            yield item


def operation(item: dict[str, Any]) -> tuple[str, str]:
    """Return a request's operation in the format of operations(); a number in its path counts as a variable."""
    path = "/" + "/".join(item["request"]["url"]["path"])
    return item["request"]["method"], re.sub(r"/(\{\{\w+\}\}|\d+)(?=/|$)", "/{}", path)


def script(item: dict[str, Any], listen: str) -> str:
    """Return a request's own "prerequest" or "test" script."""
    return "\n".join(line for event in item["event"] if event["listen"] == listen for line in event["script"]["exec"])
