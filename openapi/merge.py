"""Merge OpenAPI documents that were generated separately."""

from typing import Any


class Conflict(Exception):
    """Two documents define the same thing differently; the message says what."""


def merge(*documents: dict[str, Any]) -> dict[str, Any]:
    """Return one document that combines all of them, in their order.

    Each adds its own paths and tags, and may repeat a component verbatim. Raises Conflict for a path, a tag or an
    operation id that two of them contain, and for a component that they define differently.
    """
    merged: dict[str, Any] = {}
    operation_ids: set[str] = set()
    for document in documents:
        for name, value in document.items():
            if name == "paths":
                _add_paths(merged.setdefault("paths", {}), value, operation_ids)
            elif name == "components":
                _add_components(merged.setdefault("components", {}), value)
            elif name == "tags":
                _add_tags(merged.setdefault("tags", []), value)
            elif name in merged:
                raise Conflict(f"two documents have the member {name}")
            else:
                merged[name] = value
    return merged


def _add_paths(merged: dict[str, Any], paths: dict[str, Any], operation_ids: set[str]) -> None:
    for path, operations in paths.items():
        if path in merged:
            raise Conflict(f"two documents have the path {path}")
        merged[path] = operations
        for operation in operations.values():
            if operation["operationId"] in operation_ids:
                raise Conflict(f"two operations are called {operation['operationId']}")
            operation_ids.add(operation["operationId"])


def _add_components(merged: dict[str, Any], components: dict[str, Any]) -> None:
    for kind, definitions in components.items():
        known = merged.setdefault(kind, {})
        for name, definition in definitions.items():
            if known.setdefault(name, definition) != definition:
                raise Conflict(f"components.{kind}.{name} is defined in two ways")


def _add_tags(merged: list[Any], tags: list[Any]) -> None:
    for tag in tags:
        if tag["name"] in {known["name"] for known in merged}:
            raise Conflict(f"two documents have the tag {tag['name']}")
        merged.append(tag)
