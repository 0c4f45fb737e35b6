"""A running stack whose gateway lets through what a program asks in a minute, and its OpenAPI document."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.conftest import CHECKOUT, Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # The limit is for people who guess. What it does is tested in tests/gateway.
    with running_stack(tmp_path_factory.mktemp("state"), AUTH_RATE_LIMIT="10000") as running:
        yield running


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    return json.loads((CHECKOUT / "console/openapi.json").read_text(encoding="utf-8"))
