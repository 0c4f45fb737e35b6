"""Starting `make up` as a user does, in a separate terminal, with its own state and port."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.environment import shell
from support.paths import make_checkout
from support.ports import free_port
from support.processes import short_folder
from support.stack import LocalStack

# The documented limit for Ctrl-C.
STOPPED_WITHIN_SECONDS = 10

Start = Callable[..., LocalStack]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a stack; processes left at the end of the test are killed."""
    with ExitStack() as ends:

        def starter(*, terminal: bool = True, **env: str) -> LocalStack:
            state = ends.enter_context(short_folder("stack"))
            settings = {"STATE_DIR": str(state), "GATEWAY_PORT": str(free_port())} | env
            stack = LocalStack(Path(settings["STATE_DIR"]), env=shell(**settings), terminal=terminal)
            ends.callback(stack.end)
            return stack

        yield starter


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with its own .env."""
    return make_checkout(tmp_path / "checkout")
