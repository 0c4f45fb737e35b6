"""One gateway with all three services behind it, shared by the suite."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support.gateway import Gateway, Upstream, running_gateway
from support.paths import SERVICES


@pytest.fixture(scope="session")
def shared_gateway() -> Iterator[Gateway]:
    with running_gateway(AUTH_RATE_LIMIT="1000") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def shared_upstreams(shared_gateway: Gateway) -> Iterator[dict[str, Upstream]]:
    with ExitStack() as running:
        yield {service: running.enter_context(shared_gateway.upstream(service)) for service in SERVICES}


@pytest.fixture
def upstreams(shared_upstreams: dict[str, Upstream]) -> dict[str, Upstream]:
    for upstream in shared_upstreams.values():
        upstream.reset()
    return shared_upstreams


@pytest.fixture
def gateway(shared_gateway: Gateway, upstreams: dict[str, Upstream]) -> Gateway:
    """A gateway with all three services behind it."""
    return shared_gateway
