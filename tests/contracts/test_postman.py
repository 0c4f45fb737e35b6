"""The Postman collection calls every operation of the API and checks each response.

`make test-postman` runs it; these tests only read it.
"""

import json
import re

import pytest

from support.paths import CHECKOUT

from .postman import COLLECTION, ENVIRONMENT, operation, operations, requests, script, successes


def test_every_operation_has_a_request() -> None:
    known = operations()
    assert ("PATCH", "/api/tasks/{}") in known
    assert ("DELETE", "/api/auth/sessions/{}") in known
    missing = known - {operation(item) for item in requests()}
    assert not missing, f"{COLLECTION.name} has no request for {sorted(missing)}"


def test_every_kind_of_success_is_shown() -> None:
    """Each successful status counts, such as a 304 besides the 200."""
    shown = {
        (*operation(item), int(status))
        for item in requests()
        for status in re.findall(r"to\.have\.status\((\d+)\)", script(item, "test"))
    }
    assert ("GET", "/api/tasks/{}", 304) in successes()
    missing = successes() - shown
    assert not missing, f"{COLLECTION.name} does not show {sorted(missing)}"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_the_methods_that_every_address_has_are_shown(method: str) -> None:
    assert method in {item["request"]["method"] for item in requests()}


def test_every_error_has_to_be_of_a_type_that_there_is() -> None:
    collection = json.loads(COLLECTION.read_text(encoding="utf-8"))
    known = set(re.findall(r"`(/problems/[a-z-]+)` ·", (CHECKOUT / "docs/problems.md").read_text(encoding="utf-8")))
    assert len(known) == 20
    assert set(re.findall('"(/problems/[a-z-]+)"', script(collection, "test"))) == known
    assert "pm.expect(types).to.include(problem.type)" in script(collection, "test")


def test_every_request_is_explained_and_tested() -> None:
    items = requests()
    assert len({item["name"] for item in items}) == len(items)
    for item in items:
        assert item["request"]["description"], f"{item['name']}: no description"
        assert "pm.test(" in script(item, "test"), f"{item['name']}: the response is not tested"
        assert re.search(r"to\.have\.status\(|response\.code\)", script(item, "test")), (
            f"{item['name']}: the status is not tested"
        )


@pytest.mark.parametrize("file", [COLLECTION, ENVIRONMENT], ids=lambda file: file.name)
def test_it_is_written_as_postman_exports_it(file) -> None:
    """So that the diff of an export from the app shows only real changes."""
    text = file.read_text(encoding="utf-8")
    assert text.rstrip("\n") == json.dumps(json.loads(text), indent="\t", ensure_ascii=False)


def test_no_tokens_were_exported_with_it() -> None:
    """The app exports values entered as shared; values set by scripts are exported empty."""
    collection = json.loads(COLLECTION.read_text(encoding="utf-8"))
    values = {variable["key"]: variable["value"] for variable in collection["variable"] if variable["value"]}
    assert values == {
        "base_url": "http://localhost:8000",
        "password": "correct horse battery staple",
        "new_password": "another horse battery staple",
    }
    environment = json.loads(ENVIRONMENT.read_text(encoding="utf-8"))
    values = {variable["key"]: variable["value"] for variable in environment["values"] if variable["value"]}
    assert values == {"base_url": "http://localhost:8000"}
