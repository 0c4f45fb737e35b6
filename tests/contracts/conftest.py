"""Each service's own Python, on one scratch database: a SQLite file, or one on the server of `make test-sqlserver`."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


ENGINES = [pytest.param("sqlite", marks=pytest.mark.sqlite), pytest.param("sqlserver", marks=pytest.mark.sqlserver)]


@pytest.fixture(scope="module", params=ENGINES)
def empty_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], dict[str, str]]:
    """Makes databases: the variables of each."""

    def make() -> dict[str, str]:
        if request.param == "sqlite":
            return {"DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('contract') / 'db.sqlite3'}"}
        server = request.getfixturevalue("server")
        return {"DATABASE_URL": server.made(), **server.env}

    return make


@pytest.fixture(scope="module")
def environment(empty_database: Callable[[], dict[str, str]]) -> dict[str, str]:
    return {
        **empty_database(),
        "REDIS_URL": "redis://nowhere.invalid",
        "JWT_KEYS": "contract:" + "k" * 48,
        "AUTH_SECRET_KEY": "a" * 48,
        "TASKS_SECRET_KEY": "t" * 48,
        "SCHEDULER_SECRET_KEY": "s" * 48,
    }


def run(service: str, *arguments: str, environment: dict[str, str]) -> str:
    return subprocess.run(
        [CHECKOUT / f"var/env/{service}/bin/python", *arguments],
        cwd=CHECKOUT / "services" / service,
        env={**environment, "DJANGO_SETTINGS_MODULE": f"{service}_service.settings", "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
