"""The stack of tests/e2e: `make up` with fresh secrets on a fresh database."""

from e2e.conftest import forge, local_stack, stack

__all__ = ["forge", "local_stack", "stack"]
