"""A running stack with a high rate limit, and its OpenAPI document."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.paths import CHECKOUT
from support.stack import LocalStack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    # The limit prevents guessing; tests/gateway tests it.
    with running_stack(tmp_path_factory.mktemp("state"), AUTH_RATE_LIMIT="10000") as running:
        yield running


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CHECKOUT / "console/openapi.json").read_text(encoding="utf-8"))
    return loaded
