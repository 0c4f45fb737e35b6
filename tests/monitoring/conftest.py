"""A stack of `make up` for a Prometheus that scrapes it every second."""

from collections.abc import Iterator

import pytest

from support.stack import LocalStack, running_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack that a module may break."""
    with running_stack(tmp_path_factory.mktemp("state"), AUTH_RATE_LIMIT="1000") as running:
        yield running
