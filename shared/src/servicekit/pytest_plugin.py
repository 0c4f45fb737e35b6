"""The pytest plugin of the services' tests: the test database, and the marker of tests about SQLite."""

from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from pytest_django import DjangoDbBlocker

from servicekit.http import health
from servicekit.http.outages import outages


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sqlite: about SQLite itself; deselected on another database")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if connection.vendor != "sqlite":
        about_sqlite = [item for item in items if item.get_closest_marker("sqlite")]
        config.hook.pytest_deselected(items=about_sqlite)
        items[:] = [item for item in items if item not in about_sqlite]


@pytest.fixture(autouse=True)
def reset_failures() -> None:
    """Clear the failures that this process has recorded, so that each test logs its own first failure."""
    outages.forget()
    health.failing.clear()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Give the test database the settings of `make database`; a new SQL Server database isolates reads differently."""
    with django_db_blocker.unblock():
        call_command("database", stdout=StringIO())
    flush = connection.ops.sql_flush

    def flush_in_order(style: Any, tables: Iterable[str], **options: Any) -> list[str]:
        statements: list[str] = flush(style, referencing_first(tables), **options)
        # In this order no constraint has to be disabled; SQL Server would no longer trust one that was.
        return [statement for statement in statements if not statement.startswith("ALTER TABLE")]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection.ops, "sql_flush", flush_in_order)
        yield


def referencing_first(tables: Iterable[str]) -> list[str]:
    """Return the tables in an order for deletion: each before the tables that its foreign keys reference.

    Django lists them in the order of a set, which only works on a server that can defer or disable its constraints.
    """
    names = sorted(tables)
    models = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}
    order = TopologicalSorter[str](dict.fromkeys(names, ()))
    for name in names:
        for field in models[name]._meta.local_fields:
            referenced = field.related_model._meta.db_table if field.related_model else name
            if referenced != name:
                order.add(referenced, name)
    return [name for name in order.static_order() if name in names]
