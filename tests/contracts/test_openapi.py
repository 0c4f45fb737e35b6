"""The files of `make openapi` are up to date with the code, and the merge neither loses nor repeats anything."""

import copy
import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.commands import output_of, program, run, run_in_service
from support.paths import CHECKOUT, python

GENERATED = ("console/openapi.json", "console/problems.html", "docs/problems.md")


def test_the_files_in_git_are_those_that_the_code_makes(tmp_path: Path) -> None:
    output_of(run(python("shared-dev"), "openapi/build.py", tmp_path, env={"PATH": os.defpath}))
    for name in GENERATED:
        assert (tmp_path / name).read_text() == (CHECKOUT / name).read_text(), f"{name} is not current: make openapi"


@pytest.mark.parametrize("service", ["auth", "tasks", "scheduler"])
def test_nothing_of_it_is_loaded_to_serve_requests(service: str, environment: dict[str, str]) -> None:
    load = f"import sys, {service}_service.wsgi; print([name for name in sys.modules if 'spectacular' in name])"
    # The output may include auth's log line that it has no tables.
    assert "[]" in output_of(run_in_service(service, "-c", load, env=environment)).splitlines()
    assert "spectacular" not in (CHECKOUT / f"services/{service}/requirements.txt").read_text()


def test_the_example_of_a_service_that_is_not_ready_is_what_one_sends(environment: dict[str, str]) -> None:
    state = json.loads(
        output_of(run_in_service("tasks", *program("tasks/unready_state"), env=environment)).splitlines()[-1]
    )
    document = json.loads((CHECKOUT / "console/openapi.json").read_text())
    response = document["paths"]["/readyz"]["get"]["responses"]["503"]
    example = response["content"]["application/problem+json"]["example"]

    assert example["services"]["tasks"] == state
    assert example["detail"] == state["detail"]
    # Only a ready service reports measures.
    assert {*state, "measures"} == set(document["components"]["schemas"]["ServiceState"]["properties"])


@pytest.fixture(scope="module")
def merging() -> ModuleType:
    specification = importlib.util.spec_from_file_location("merge", CHECKOUT / "openapi/merge.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def document(name: str, **schemas: Any) -> dict[str, Any]:
    return {
        "tags": [{"name": name}],
        "paths": {f"/{name}": {"get": {"operationId": f"get{name}"}}},
        "components": {"schemas": schemas},
    }


class TestMerge:
    def test_documents_are_joined_in_their_order(self, merging: ModuleType) -> None:
        problem = {"type": "object"}
        merged = merging.merge(
            {"openapi": "3.1.1", "info": {}},
            document("a", A={"type": "string"}, Problem=problem),
            document("b", Problem=copy.copy(problem)),
        )
        assert merged == {
            "openapi": "3.1.1",
            "info": {},
            "tags": [{"name": "a"}, {"name": "b"}],
            "paths": {"/a": {"get": {"operationId": "geta"}}, "/b": {"get": {"operationId": "getb"}}},
            "components": {"schemas": {"A": {"type": "string"}, "Problem": problem}},
        }

    def test_one_path_of_two_is_refused(self, merging: ModuleType) -> None:
        other = document("b")
        other["paths"] = {"/a": {"post": {"operationId": "other"}}}
        with pytest.raises(merging.Conflict, match="two documents have the path /a"):
            merging.merge(document("a"), other)

    def test_one_schema_that_two_define_differently_is_refused(self, merging: ModuleType) -> None:
        with pytest.raises(merging.Conflict, match=r"components\.schemas\.User is defined in two ways"):
            merging.merge(document("a", User={"type": "object"}), document("b", User={"type": "string"}))

    def test_one_operation_id_of_two_is_refused(self, merging: ModuleType) -> None:
        other = document("b")
        other["paths"]["/b"]["get"]["operationId"] = "geta"
        with pytest.raises(merging.Conflict, match="two operations are called geta"):
            merging.merge(document("a"), other)

    def test_one_tag_of_two_is_refused(self, merging: ModuleType) -> None:
        with pytest.raises(merging.Conflict, match="the tag a"):
            merging.merge(document("a"), {"tags": [{"name": "a"}]})

    def test_one_title_of_two_is_refused(self, merging: ModuleType) -> None:
        with pytest.raises(merging.Conflict, match="the member info"):
            merging.merge({"info": {}}, {"info": {}})
