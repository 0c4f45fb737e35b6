"""The health checks of beat's and the relay's containers, applied to the files that these touch."""

import os
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from support.paths import CHECKOUT

SERVICES = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text(encoding="utf-8"))["services"]


def is_healthy(part: str, file: str, path: Path) -> bool:
    _, *command = SERVICES[part]["healthcheck"]["test"]
    assert f"/tmp/{file} " in command[-1]
    return subprocess.run([*command[:-1], command[-1].replace(f"/tmp/{file}", str(path))], check=False).returncode == 0


@pytest.mark.parametrize(("part", "file", "seconds"), [("beat", "beat-tick", 90), ("relay", "relay-pulse", 30)])
def test_pulse_is_neither_old_nor_of_the_future(tmp_path: Path, part: str, file: str, seconds: int) -> None:
    """A time in the future was written before the clock was set back."""
    path = tmp_path / file
    assert not is_healthy(part, file, path)
    path.touch()
    for age, healthy in ((0, True), (seconds - 5, True), (seconds + 5, False), (-60, False), (-7200, False)):
        then = time.time() - age
        os.utime(path, (then, then))
        assert is_healthy(part, file, path) is healthy, age
