"""The document itself: valid, complete, consistent, and in agreement with the stack's responses."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from support.accounts import PASSWORD, register
from support.paths import CHECKOUT
from support.stack import Stack

METHODS = {"get", "put", "post", "delete", "patch"}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert method in METHODS
            yield path, method, operation


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Return the value, or the component that its $ref refers to."""
    if "$ref" not in value:
        return value
    _, kind, name = value["$ref"].removeprefix("#/").split("/")
    return document["components"][kind][name]


def media_types(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, method, operation in operations(document):
        responses = [resolved(document, response) for response in operation["responses"].values()]
        for part in [operation.get("requestBody", {}), *responses]:
            for media_type in part.get("content", {}).values():
                yield f"{method} {path}", media_type


def test_it_is_valid_openapi_3_1(document) -> None:
    assert document["openapi"].startswith("3.1.")
    validate(document)


def test_every_operation_says_what_it_does_takes_and_answers(document) -> None:
    for path, method, operation in operations(document):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"].endswith("."), where
        assert len(operation["tags"]) == 1, where
        # Client generators derive names from it.
        assert re.fullmatch("[a-z]+([A-Z][a-z]+)*", operation["operationId"]), where
        for parameter in operation.get("parameters", []):
            assert parameter["description"].endswith("."), where
        for status, response in operation["responses"].items():
            documented = resolved(document, response)
            assert documented["description"], where
            assert "X-Request-ID" in documented["headers"], where
            if int(status) >= 400:
                assert list(documented["content"]) == ["application/problem+json"], where
    tags = {tag["name"] for tag in document["tags"]}
    assert tags == {operation["tags"][0] for _, _, operation in operations(document)}


def test_every_operation_can_fail_in_the_ways_that_any_can(document) -> None:
    for path, _, operation in operations(document):
        statuses = set(operation["responses"])
        assert statuses >= {"400", "413", "414", "431"}, path
        if not path.startswith("/api/"):
            continue
        assert statuses >= {"500", "502", "503", "504"}, path
        if operation["security"]:
            assert "401" in statuses, path
        if "requestBody" in operation:
            assert "415" in statuses, path
        if "{" in path:
            assert "404" in statuses, path
        if path.startswith("/api/jobs"):
            assert "403" in statuses, path


def problems(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Yield the path, method, operation and example of each error of each operation."""
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                example = resolved(document, response)["content"]["application/problem+json"]["example"]
                assert example["status"] == int(status), path
                yield path, method, operation, example


def test_each_problem_is_documented_with_its_type(document) -> None:
    titles: dict[int, set[str]] = {}
    for _, _, _, example in problems(document):
        assert example["type"] == "/problems/" + example["title"].lower().replace(" ", "-")
        titles.setdefault(example["status"], set()).add(example["title"])
    assert len(titles) == 16
    assert all(len(names) == 1 for names in titles.values())


def test_each_problem_is_one_of_its_operation(document) -> None:
    for path, method, operation, example in problems(document):
        where = f"{method} {path} {example['status']}"
        # nginx does not parse the path of a request line that is too long.
        pattern = "/" if example["status"] == 414 else re.sub(r"{\w+}", "[0-9a-z-]+", path)
        assert re.fullmatch(pattern, example["instance"]), where
        fields = set(example.get("errors", {}))
        takes = {parameter["name"] for parameter in operation.get("parameters", [])}
        if "requestBody" in operation:
            (media_type,) = operation["requestBody"]["content"].values()
            takes = set(resolved(document, media_type["schema"]).get("properties", {}))
        assert fields <= takes, where
        may_be_invalid = bool(takes) if "requestBody" in operation else "limit" in takes
        assert bool(fields) == (example["status"] == 400 and may_be_invalid), where


def test_every_example_is_what_its_schema_asks_for(document) -> None:
    checked = 0
    for where, media_type in media_types(document):
        schema = {**media_type["schema"], "components": document["components"]}
        errors = list(Draft202012Validator(schema, format_checker=None).iter_errors(media_type["example"]))
        assert not errors, where
        checked += 1
    assert checked > 200


@pytest.mark.parametrize(("email", "valid"), [("", True), ("ada@example.org", True), ("a" * 255, False), (None, False)])
def test_an_address_can_be_removed(document, email, valid) -> None:
    # This must not depend on "format", which a validator need not check (JSON Schema 2020-12, section 7).
    assert Draft202012Validator(document["components"]["schemas"]["Email"]).is_valid(email) is valid


def test_no_component_is_unused(document) -> None:
    text = str(document)
    for kind, components in document["components"].items():
        for name in components:
            reference = f"{{'{name}': []}}" if kind == "securitySchemes" else f"'#/components/{kind}/{name}'"
            assert reference in text, f"{kind}/{name} is not used"


def schemas(value: Any, *, here: bool = False) -> Iterator[dict[str, Any]]:
    """Yield every schema below the value and, with ``here``, the value itself."""
    if isinstance(value, list):
        for member in value:
            yield from schemas(member, here=here)
    elif isinstance(value, dict):
        if here:
            yield value
        for key, member in value.items():
            if key in ("properties", "schemas"):
                for schema in member.values():
                    yield from schemas(schema, here=True)
            elif key not in ("example", "examples"):
                below = key in ("schema", "items", "additionalProperties", "oneOf", "allOf", "anyOf")
                yield from schemas(member, here=below)


def is_trivial(shape: dict[str, Any]) -> bool:
    """Return whether the schema is little more than a type or a reference, or a combination of these."""
    members = shape.get("oneOf") or shape.get("allOf")
    return all(map(is_trivial, members)) if members else set(shape) <= {"type", "format", "minimum", "$ref"}


def test_no_schema_is_there_twice(document) -> None:
    shapes = [
        {key: value for key, value in schema.items() if key not in ("description", "examples")}
        for schema in schemas(document)
    ]
    counts = Counter(str(shape) for shape in shapes if not is_trivial(shape))
    assert len(counts) > 40
    assert not [shape for shape, count in counts.items() if count > 1]


def test_what_clients_may_send_has_no_room_for_more(document) -> None:
    for _, _, operation in operations(document):
        if "requestBody" in operation:
            (media_type,) = operation["requestBody"]["content"].values()
            assert resolved(document, media_type["schema"])["additionalProperties"] is False


@pytest.fixture(scope="module")
def caller(stack: Stack) -> dict[str, Any]:
    """Tokens of a user without tasks and of a user with one task, and that task's path."""
    tokens = [register(stack, name).access for name in ("nobody", "somebody")]
    task = stack.call("POST", "/api/tasks", token=tokens[1], json={"title": "Read", "duration": 5})
    return {"token": tokens[0], "owner": tokens[1], "task": task.headers["Location"]}


# The arguments that make an operation respond with each status.
PROVOCATIONS = {
    400: {"json": {}},
    401: {"token": None},
    403: {},
    404: {},
    412: {"headers": {"If-Match": '"7"'}},
    413: {"data": b" " * 65_537, "headers": {"Content-Type": "application/json"}},
    414: {"params": {"x": "x" * 9_000}},
    415: {"data": b"text", "headers": {"Content-Type": "text/plain"}},
    431: {"headers": {"X-Large": "x" * 17_000}},
}
# Faults of the servers, too many requests, and states that take several requests: tests/gateway and the services' own
# tests provoke them.
NOT_PROVOKED = {409, 422, 429, 500, 502, 503, 504}


def test_the_examples_are_what_the_stack_answers(stack: Stack, document, caller: dict[str, Any]) -> None:
    seen: Counter[int] = Counter()
    for path, method, operation, example in problems(document):
        status = example["status"]
        if status in NOT_PROVOKED:
            continue
        address = caller["task"] if status == 412 else example["instance"]
        token = caller["owner" if status == 412 else "token"] if operation["security"] else None
        arguments = {"token": token, **PROVOCATIONS[status]}
        if status == 414:
            address = re.sub(r"{\w+}", "1", path)
        if status == 400 and "limit" in example.get("errors", {}):
            arguments["params"] = {"limit": 0}
        if status == 400 and any(
            "null" in message for field in example.get("errors", {}).values() for message in field
        ):
            # Nothing is required, so an empty body is no error.
            arguments["json"] = dict.fromkeys(example["errors"])
        if status == 400 and "errors" not in example:
            arguments = {"token": token, "headers": {"User-Agent": "a\x01"}}
        if status == 401 and not operation["security"]:
            # Credentials are in the body: the example's tokens, or a username that does not exist.
            (media_type,) = operation["requestBody"]["content"].values()
            arguments["json"] = {
                name: "nobody-else" if name == "username" else value for name, value in media_type["example"].items()
            }
        if status == 412 and method != "delete":
            arguments["json"] = {"title": "Read"}
        if status == 404 and "requestBody" in operation:
            (media_type,) = operation["requestBody"]["content"].values()
            arguments["json"] = media_type["example"]
        if path.startswith("/api/jobs") and status in (400, 404, 415):
            # This user is not staff, so the response is the 403.
            continue
        response = stack.call(method.upper(), address, **arguments)
        expected = {**example, "instance": address if status == 412 else example["instance"]}
        assert {**response.json(), "request_id": example["request_id"]} == expected, f"{method} {path} {status}"
        seen[status] += 1
    assert set(seen) == set(PROVOCATIONS)
    assert sum(seen.values()) > 120


def test_the_gateway_serves_it_as_it_is(stack: Stack) -> None:
    response = stack.call("GET", "/api/openapi.json", headers={"Accept-Encoding": "identity"})

    assert response.headers["Content-Type"] == "application/json"
    assert response.content == (CHECKOUT / "console/openapi.json").read_bytes()


def test_every_answer_has_no_member_that_is_not_documented(stack: Stack, document) -> None:
    """Response schemas are open, as clients should treat them, so schemathesis cannot find extra members."""
    body = {"username": "reader", "password": PASSWORD}
    responses = {"User": stack.call("POST", "/api/auth/register", json=body).json()}
    tokens = responses["Tokens"] = stack.call("POST", "/api/auth/token", json=body).json()
    token = tokens["access"]
    responses["Task"] = stack.call("POST", "/api/tasks", token=token, json={"title": "Read", "duration": 5}).json()
    (responses["Session"],) = stack.call("GET", "/api/auth/sessions", token=token).json()
    responses["Problem"] = stack.call("POST", "/api/tasks", token=token, json={}).json()
    responses["Readiness"] = stack.call("GET", "/readyz").json()
    for name, response in responses.items():
        assert list(response) == list(document["components"]["schemas"][name]["properties"]), name


def test_the_addresses_of_the_services_take_a_slash_and_tell_their_methods(stack: Stack, document) -> None:
    for path, item in document["paths"].items():
        if not path.startswith("/api/"):
            continue
        methods = {method.upper() for method in item} | {"OPTIONS"} | ({"HEAD"} if "get" in item else set())
        for address in (path, f"{path}/"):
            names = {"session_id": "0b9a4c6e-6f0c-4f1e-9c55-7d1c7b1f3a52", "name": "report-user-tasks"}
            address = re.sub(r"{(\w+)}", lambda match, names=names: names.get(match[1], "1"), address)
            response = stack.call("OPTIONS", address)
            assert (response.status_code, set(response.headers["Allow"].split(", "))) == (204, methods), address
