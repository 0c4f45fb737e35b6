"""The document as such: valid, complete, and true to itself."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.conftest import CHECKOUT, Stack
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

METHODS = {"get", "put", "post", "delete", "patch"}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert method in METHODS
            yield path, method, operation


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """What a $ref stands for."""
    if "$ref" not in value:
        return value
    _, kind, name = value["$ref"].removeprefix("#/").split("/")
    return document["components"][kind][name]


def media_types(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, method, operation in operations(document):
        answers = [resolved(document, response) for response in operation["responses"].values()]
        for part in [operation.get("requestBody", {}), *answers]:
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
        # What client generators make names of.
        assert re.fullmatch("[a-z]+([A-Z][a-z]+)*", operation["operationId"]), where
        for parameter in operation.get("parameters", []):
            assert parameter["description"].endswith("."), where
        for status, response in operation["responses"].items():
            answer = resolved(document, response)
            assert answer["description"], where
            assert "X-Request-ID" in answer["headers"], where
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], where
    tags = {tag["name"] for tag in document["tags"]}
    assert tags == {operation["tags"][0] for _, _, operation in operations(document)}


def test_every_operation_of_a_service_can_fail_in_the_ways_that_any_can(document) -> None:
    for path, _, operation in operations(document):
        if not path.startswith("/api/"):
            continue
        statuses = set(operation["responses"])
        assert statuses >= {"400", "500", "502", "503", "504"}, path
        if operation["security"]:
            assert "401" in statuses, path
        if "requestBody" in operation:
            assert statuses >= {"413", "415"}, path
        if "{" in path:
            assert "404" in statuses, path
        if path.startswith("/api/jobs"):
            assert "403" in statuses, path


def test_each_problem_is_documented_under_its_own_status(document) -> None:
    for name, response in document["components"]["responses"].items():
        example = response["content"]["application/problem+json"]["example"]
        assert example["title"].replace(" ", "") == name
        assert example["type"] == "/problems/" + example["title"].lower().replace(" ", "-")
    for path, _, operation in operations(document):
        for status, response in operation["responses"].items():
            answer = resolved(document, response)
            for media_type in answer.get("content", {}).values():
                if int(status) >= 400:
                    assert media_type["example"]["status"] == int(status), path


def test_every_example_is_what_its_schema_asks_for(document) -> None:
    checked = 0
    for where, media_type in media_types(document):
        schema = {**media_type["schema"], "components": document["components"]}
        errors = list(Draft202012Validator(schema, format_checker=None).iter_errors(media_type["example"]))
        assert not errors, where
        checked += 1
    assert checked > 100


def test_no_schema_is_there_twice_and_none_is_unused(document) -> None:
    text = str(document)
    shapes: dict[str, str] = {}
    for name, schema in document["components"]["schemas"].items():
        assert f"'#/components/schemas/{name}'" in text, f"{name} is not used"
        shape = str({key: value for key, value in schema.items() if key != "description"})
        assert shape not in shapes, f"{name} is {shapes.get(shape)}"
        shapes[shape] = name


def test_what_clients_may_send_has_no_room_for_more(document) -> None:
    for _, _, operation in operations(document):
        if "requestBody" in operation:
            (media_type,) = operation["requestBody"]["content"].values()
            assert resolved(document, media_type["schema"])["additionalProperties"] is False


def test_the_gateway_serves_it_as_it_is(stack: Stack) -> None:
    answer = stack.call("GET", "/api/openapi.json", headers={"Accept-Encoding": "identity"})

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.content == (CHECKOUT / "console/openapi.json").read_bytes()


def test_every_answer_has_no_member_that_is_not_documented(stack: Stack, document) -> None:
    """Schemas of answers are open, as clients should take them; so this is not schemathesis's to find."""
    body = {"username": "reader", "password": "a rather different staple"}
    answers = {"User": stack.call("POST", "/api/auth/register", json=body).json()}
    tokens = answers["Tokens"] = stack.call("POST", "/api/auth/token", json=body).json()
    token = tokens["access"]
    answers["Task"] = stack.call("POST", "/api/tasks", token=token, json={"title": "Read", "duration": 5}).json()
    (answers["Session"],) = stack.call("GET", "/api/auth/sessions", token=token).json()
    answers["Problem"] = stack.call("POST", "/api/tasks", token=token, json={}).json()
    answers["Readiness"] = stack.call("GET", "/readyz").json()
    for name, answer in answers.items():
        assert list(answer) == list(document["components"]["schemas"][name]["properties"]), name


@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/"])
def test_the_addresses_work_with_and_without_a_slash(stack: Stack, path: str) -> None:
    assert stack.call("GET", path).status_code == 401
