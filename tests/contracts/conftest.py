"""Scratch databases for the services' own Python: SQLite files, or databases on the server of `make test-sqlserver`."""

from collections.abc import Callable

import pytest

from support.environment import new_secrets
from support.sqlserver import Server

ENGINES = [pytest.param("sqlite", marks=pytest.mark.sqlite), pytest.param("sqlserver", marks=pytest.mark.sqlserver)]


@pytest.fixture(scope="module", params=ENGINES)
def empty_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], dict[str, str]]:
    """Return a function that creates a database and returns its variables."""

    def make() -> dict[str, str]:
        if request.param == "sqlite":
            return {"DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('contract') / 'db.sqlite3'}"}
        server: Server = request.getfixturevalue("server")
        return {"DATABASE_URL": server.create(), **server.env}

    return make


@pytest.fixture(scope="module")
def environment(empty_database: Callable[[], dict[str, str]]) -> dict[str, str]:
    return {
        **empty_database(),
        "REDIS_URL": "redis://nowhere.invalid",
        **new_secrets(),
    }
