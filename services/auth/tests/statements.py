"""Record the statements that the ORM sends; Django's own log of queries differs between drivers."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def statements() -> Iterator[list[tuple[str, list[Any]]]]:
    """Each statement in the block, with its parameters."""
    sent: list[tuple[str, list[Any]]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        # What the backend of SQL Server puts before a statement is none of ours.
        sent.append((re.sub(r"^SET NOCOUNT (ON|OFF);?\s*", "", sql), list(params or ())))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield sent
