"""GitHub's workflows compared with .ci/run, and the results of the weekly audit."""

import importlib.util
import json
import re
from types import ModuleType
from typing import Any

import pytest
import yaml

from support.paths import CHECKOUT


def load(name: str) -> Any:
    return yaml.safe_load((CHECKOUT / f".github/workflows/{name}.yml").read_text(encoding="utf-8"))


def test_github_runs_every_stage_of_ci() -> None:
    script = (CHECKOUT / ".ci/run").read_text(encoding="utf-8")
    stages = set(re.findall(r"^make ([a-z-]+)$", script, re.MULTILINE))

    job = load("ci")["jobs"]["stage"]

    # One of GitHub's machines is too small for a Swarm of three nodes.
    assert set(job["strategy"]["matrix"]["stage"]) == stages - {"test-swarm"}
    assert job["steps"][-1] == {"run": 'make "$STAGE"', "env": {"STAGE": "${{ matrix.stage }}"}}


def test_the_oldest_python_of_the_tests_is_the_projects() -> None:
    project = (CHECKOUT / "tests/pyproject.toml").read_text(encoding="utf-8")
    [oldest] = re.findall(r'requires-python = ">=([0-9.]+)"', project)

    assert {"stage": "test", "python": oldest} in load("ci")["jobs"]["stage"]["strategy"]["matrix"]["include"]


def test_one_commit_for_each_version_of_an_action() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (CHECKOUT / ".github/workflows").glob("*.yml")]
    used = [line for text in texts for line in re.findall(r"uses: (.+)", text)]

    pinned = [re.fullmatch(r"([\w/-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line) for line in used]

    assert used
    assert all(pinned)
    assert len(set(used)) == len({match[1] for match in pinned if match})


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", CHECKOUT / "checks/audit.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(**package: Any) -> str:
    return json.dumps({"dependencies": [{"name": "django", "version": "5.2.0", "vulns": []} | package], "fixes": []})


def test_a_package_that_was_not_looked_up_is_no_package_without_vulnerabilities(audit: ModuleType) -> None:
    with pytest.raises(audit.AuditError, match=r"^the database has no record of 1 of 1 packages, such as django: "):
        audit.dependencies_of(report(skip_reason="Dependency not found on PyPI"))


def test_a_known_vulnerability_is_a_line(audit: ModuleType) -> None:
    vulnerability = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["5.2.1"], "description": "…"}

    lines = audit.vulnerabilities(audit.dependencies_of(report(vulns=[vulnerability])))

    assert list(lines) == ["django 5.2.0: PYSEC-1, CVE-1; fixed in 5.2.1"]


def test_a_package_without_vulnerabilities_is_none(audit: ModuleType) -> None:
    assert list(audit.vulnerabilities(audit.dependencies_of(report()))) == []


def test_every_lock_file_is_audited(audit: ModuleType) -> None:
    written = re.findall(
        r"^resolve ([a-z/]+|\S+\$service\S*) (\S+)", (CHECKOUT / "checks/lock").read_text(), re.MULTILINE
    )
    locks = {f"{folder}/{name}" for folder, name in written}
    services = [f"services/{service}/{name}.txt" for service in ("auth", "tasks", "scheduler")
                for name in ("requirements", "requirements-dev")]  # fmt: skip

    assert {str(path) for path in audit.lock_files()} == {*locks, *services}
