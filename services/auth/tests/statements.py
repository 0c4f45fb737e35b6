"""What is sent to the database, as the ORM writes it: the log of queries has another form for each driver."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def statements() -> Iterator[list[tuple[str, list[Any]]]]:
    """Each statement in the block, with its parameters."""
    sent: list[tuple[str, list[Any]]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append((sql, list(params or ())))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield sent
