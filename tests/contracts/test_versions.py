"""Everything that is released together has one version: the newest in CHANGELOG.md."""

import json
import tomllib

import pytest

from support.paths import CHECKOUT, SERVICES
from support.releases import newest_version


@pytest.mark.parametrize("part", ["shared", *(f"services/{service}" for service in SERVICES)])
def test_a_part_has_the_version_of_the_changelog(part: str) -> None:
    project = tomllib.loads((CHECKOUT / part / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["version"] == newest_version()


def test_the_api_has_the_version_of_the_changelog() -> None:
    document = json.loads((CHECKOUT / "console/openapi.json").read_text(encoding="utf-8"))

    assert document["info"]["version"] == newest_version()
