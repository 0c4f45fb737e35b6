"""The Postman collection calls every operation of the API and says what has to be true of the answer.

That it is true is what `make test-postman` shows; this much can be seen without running it.
"""

import json
import re

import pytest

from .postman import COLLECTION, ENVIRONMENT, operation, operations, requests, script


def test_every_operation_has_a_request() -> None:
    known = operations()
    assert ("PATCH", "/api/tasks/{}") in known
    assert ("DELETE", "/api/auth/sessions/{}") in known
    missing = known - {operation(item) for item in requests()}
    assert not missing, f"{COLLECTION.name} has no request for {sorted(missing)}"


def test_every_request_is_explained_and_tested() -> None:
    items = requests()
    assert len({item["name"] for item in items}) == len(items)
    for item in items:
        assert item["request"]["description"], f"{item['name']}: no description"
        assert "pm.test(" in script(item, "test"), f"{item['name']}: nothing is said about the answer"
        assert re.search(r"to\.have\.status\(|response\.code\)", script(item, "test")), (
            f"{item['name']}: any status would do"
        )


@pytest.mark.parametrize("file", [COLLECTION, ENVIRONMENT], ids=lambda file: file.name)
def test_it_is_written_as_postman_exports_it(file) -> None:
    """So that an export from the app shows as a diff of what was changed."""
    text = file.read_text(encoding="utf-8")
    assert text.rstrip("\n") == json.dumps(json.loads(text), indent="\t", ensure_ascii=False)


def test_nobody_s_tokens_were_exported_with_it() -> None:
    """Which the app does where a value was typed in as a shared one; what scripts set is exported empty."""
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
