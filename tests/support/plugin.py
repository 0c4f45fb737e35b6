"""The options, markers and fixtures of every suite, and the check that no suite leaves a process behind."""

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import processes
from support.compose import Project, running_project
from support.sqlserver import Server
from support.stack import ContainerStack, LocalStack, Stack, SwarmStack, running_stack
from support.swarm import NODES, Swarm, running_swarm
from support.tokens import make_token
from support.waiting import wait_until


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sqlserver", action="store_true", help="run on the server that DATABASE_URL names")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sqlserver: needs a SQL Server; deselected without --sqlserver")
    config.addinivalue_line("markers", "sqlite: about the SQLite file; deselected with --sqlserver")
    config.addinivalue_line("markers", "local: about the stack of `make up`; deselected with STACK=containers")
    config.addinivalue_line("markers", "containers: about the stack of `make docker-up`; deselected on a local one")
    config.addinivalue_line("markers", "alone: measures times so short that a concurrent test could make it fail")
    os.environ[processes.MARKER] = processes.SESSION


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = ["sqlite" if config.getoption("sqlserver") else "sqlserver", "local" if in_containers() else "containers"]
    deselected = [item for item in items if any(map(item.get_closest_marker, others))]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item not in deselected]


def in_containers() -> bool:
    """Return whether the suites run against containers rather than a local stack."""
    return os.environ.get("STACK") in ("containers", "swarm")


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail the session if processes that it started are still running at its end; report and kill them."""
    processes.folders.add(tmp_path_factory.getbasetemp())
    yield
    try:
        wait_until(lambda: not processes.left_behind(), timeout=5)
    except AssertionError:
        left = processes.left_behind()
        lines = "\n".join(map(processes.describe, left))
        processes.kill(left)
        pytest.fail(f"these processes were left behind:\n{lines}", pytrace=False)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The SQL Server of `make test-sqlserver`."""
    server = Server()
    yield server
    server.drop_all()


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    """The containers that the suites of a session share."""
    with running_project() as project:
        yield project


@pytest.fixture(scope="session")
def swarm() -> Iterator[Swarm]:
    """The nodes and the stack on them that the suites of a session share."""
    with running_swarm() as swarm:
        yield swarm


@pytest.fixture(autouse=True)
def each_node_in_turn(request: pytest.FixtureRequest) -> None:
    """On a Swarm, send each test's requests through the node after the previous test's."""
    if os.environ.get("STACK") == "swarm" and "stack" in request.fixturenames:
        request.getfixturevalue("stack").use(next(_nodes))


_nodes = itertools.cycle(NODES)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Stack:
    """The shared stack: `make up` with its own state or, depending on STACK, `make docker-up` or `make swarm-up`."""
    if os.environ.get("STACK") == "swarm":
        return SwarmStack(request.getfixturevalue("swarm"))
    if in_containers():
        return ContainerStack(request.getfixturevalue("project"))
    local: LocalStack = request.getfixturevalue("local_stack")
    return local


@pytest.fixture(scope="session")
def local_stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    changes: dict[str, str] = {}
    if request.config.getoption("sqlserver"):
        server: Server = request.getfixturevalue("server")
        url = server.create()
        changes = {"DATABASE_URL": url, **server.env, **server.create_logins(url)}
    with running_stack(tmp_path_factory.mktemp("state"), **changes) as running:
        yield running


@pytest.fixture
def forge(stack: Stack) -> Callable[..., str]:
    """Return a function that signs access tokens with the stack's key, or with ``key``."""

    def make(*, key: str = stack.secret, **arguments: Any) -> str:
        return make_token(key, **arguments)

    return make
