"""Schemathesis searches for requests for which the services violate the document."""

import copy
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.accounts import log_in, register
from support.commands import output_of, run, run_in_service
from support.stack import LocalStack

# Not the password of the document's examples, which are sent too, and one of which changes it.
PASSWORD = "a rather different staple"
# Operations that may end their own session; the others share one session.
ENDING = ("listSessions", "endSessions", "endSession")
SHORTEST_RUN_CASES = 500


@pytest.fixture(scope="module")
def accounts(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tokens of two users and of a staff user, in the format of the Web Fuzzing Commons."""
    create = ("manage.py", "createsuperuser", "--noinput", "--username", "staff")
    output_of(run_in_service("auth", *create, env=stack.environment | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}))
    tokens = {name: register(stack, name, password=PASSWORD).access for name in ("owner", "other")}
    tokens["staff"] = log_in(stack, "staff", password=PASSWORD)["access"]
    entries = []
    for name, token in tokens.items():
        entries.append({"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]})
    path = tmp_path_factory.mktemp("accounts") / "accounts.json"
    path.write_text(json.dumps({"auth": entries}))
    return path


@pytest.fixture
def schemathesis(
    stack: LocalStack, accounts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Return a function that runs schemathesis against the stack, prints a summary and returns the report."""

    def search(
        *arguments: str, user: str, document: str | Path = "", config: str = "schemathesis.toml", hooks: str = "hooks"
    ) -> dict[str, Any]:
        report = tmp_path / "report.json"
        folder = Path(__file__).parent
        result = run(
            *(Path(sys.executable).parent / "schemathesis", "--no-color"),
            *("--config-file", folder / config),
            *("run", document or f"{stack.url}/api/openapi.json", "--url", stack.url),
            *("--report", "json", "--report-json-path", report),
            # The same search in each run, so that a failure is due to a change. SCHEMATHESIS_SEED=2 selects another.
            *("--seed", os.environ.get("SCHEMATHESIS_SEED", "1")),
            *arguments,
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(folder),
                "SCHEMATHESIS_HOOKS": hooks,
                "API_URL": stack.url,
                "API_ACCOUNTS": str(accounts),
                "API_USER": user,
                "API_PASSWORD": PASSWORD,
            },
            timeout=300,
        )
        found: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
        assert found.get("test_cases"), result.stdout + result.stderr
        found["output"] = result.stdout
        if document:
            return found
        with capsys.disabled():
            cases, operations = found["test_cases"]["generated"], found["operations"]["tested"]
            print(
                f"\nschemathesis as {user}: {cases} cases on {operations} operations in {found['running_time']:.0f} s, "
                f"{len(found['failures'])} failures, seed {found['seed']}"
            )
        return found

    return search


def assert_clean(found: dict[str, Any], *, operations: int, phases: set[str]) -> None:
    assert not found["failures"], found["output"]
    assert not found["errors"], found["output"]
    assert found["complete"], found["output"]
    assert {name for name, phase in found["phases"].items() if phase["status"] == "success"} >= phases, found["output"]
    assert found["operations"]["tested"] == operations


@pytest.mark.parametrize("user", ["owner", "staff"])
def test_no_request_breaks_what_the_document_promises(schemathesis, document, user: str) -> None:
    excluded = [argument for name in ENDING for argument in ("--exclude-operation-id", name)]

    found = schemathesis(*excluded, user=user)

    operations = sum(len(operations) for operations in document["paths"].values())
    phases = {"examples", "coverage", "fuzzing", "stateful"}
    assert_clean(found, operations=operations - len(ENDING), phases=phases)
    assert found["test_cases"]["generated"] >= SHORTEST_RUN_CASES


def test_nor_do_the_calls_that_end_sessions(stack: LocalStack, schemathesis) -> None:
    register(stack, "leaver", password=PASSWORD)
    included = [argument for name in ENDING for argument in ("--include-operation-id", name)]

    found = schemathesis(*included, user="leaver", config="sessions.toml", hooks="login_each")

    # None of them has a request body, so the document has no examples for them.
    assert_clean(found, operations=len(ENDING), phases={"coverage", "fuzzing"})


LIES = {
    "response": "createTask",
    "input": "createTask",
    "status": "createTask",
    "error": "createTask",
    "item of a list": "listTasks",
    "Link": "listTasks",
}


@pytest.fixture(scope="module")
def pages(stack: LocalStack, accounts: Path) -> None:
    """Create more tasks of the owner than fit on one page, so that there are items and a link."""
    (owner,) = [entry for entry in json.loads(accounts.read_text())["auth"] if entry["name"] == "owner"]
    headers = {header["name"]: header["value"] for header in owner["fixedHeaders"]}
    for number in range(6):
        stack.call("POST", "/api/tasks", headers=headers, json={"title": f"Task {number}", "duration": 5})


@pytest.mark.usefixtures("pages")
@pytest.mark.parametrize("lie", [*LIES, None])
def test_a_lie_in_the_document_is_found_and_nothing_else(
    schemathesis, document, tmp_path: Path, lie: str | None
) -> None:
    # A copy, so that no lie remains for the next test.
    document = copy.deepcopy(document)
    components = document["components"]
    if lie == "response":
        components["schemas"]["Task"]["properties"]["duration"] = {"type": "string"}
    elif lie == "input":
        components["schemas"]["Duration"]["maximum"] = 10_000_000
    elif lie == "status":
        responses = document["paths"]["/api/tasks"]["post"]["responses"]
        responses["200"] = responses.pop("201")
    elif lie == "error":
        components["schemas"]["Problem"]["properties"]["status"] = {"type": "string"}
    elif lie == "item of a list":
        components["schemas"]["Task"]["properties"]["title"] = {"type": "integer"}
    elif lie == "Link":
        components["headers"]["Link"]["schema"]["pattern"] = "^/api/.+$"
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    operations = [LIES[lie]] if lie else sorted(set(LIES.values()))
    included = [argument for name in operations for argument in ("--include-operation-id", name)]

    found = schemathesis(*included, "--max-examples", "10", user="owner", document=path)

    assert bool(found["failures"]) == bool(lie), found["output"]
