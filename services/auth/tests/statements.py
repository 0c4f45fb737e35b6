"""Recording of the statements that the ORM sends; Django's own query log differs between drivers."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def statements() -> Iterator[list[tuple[str, list[Any]]]]:
    """Yield a list to which each statement in the block is added, with its parameters."""
    sent: list[tuple[str, list[Any]]] = []

    def record(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        # Strip the prefix that the SQL Server backend adds.
        sent.append((re.sub(r"^SET NOCOUNT (ON|OFF);?\s*", "", sql), list(params or ())))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(record):
        yield sent
