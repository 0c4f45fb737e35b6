"""Flushing the tables after tests that commit, also on a server that checks constraints after each statement."""

import re

import pytest
from django.core.management.color import no_style
from django.db import connection

TABLES = ["accounts_session", "accounts_user", "django_admin_log", "django_content_type"]


@pytest.mark.django_db
@pytest.mark.parametrize("tables", [TABLES, TABLES[::-1]], ids=["referencing first", "referenced first"])
def test_flush_deletes_rows_before_those_that_they_reference(tables: list[str]) -> None:
    statements = "\n".join(connection.ops.sql_flush(no_style(), tables))

    deleted = re.findall(r"^DELETE FROM \W(\w+)", statements, re.MULTILINE)
    assert sorted(deleted) == TABLES
    assert "CONSTRAINT" not in statements
    assert deleted.index("accounts_session") < deleted.index("accounts_user")
    assert deleted.index("django_admin_log") < deleted.index("accounts_user")
    assert deleted.index("django_admin_log") < deleted.index("django_content_type")
