"""What several test modules use."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """On SQL Server a new database reads otherwise than those that `make database` makes."""
    with django_db_blocker.unblock():
        call_command("database", stdout=StringIO())
