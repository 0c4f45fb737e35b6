"""Each service's own Python, on one scratch database."""

import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("contract") / "db.sqlite3"
    return {
        "DATABASE_URL": f"sqlite:///{path}",
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
