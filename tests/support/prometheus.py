"""A real Prometheus that scrapes a stack of `make up`."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from support.paths import CHECKOUT
from support.ports import free_port
from support.waiting import wait_until

FOLDER = CHECKOUT / "deploy/monitoring"


def program(name: str) -> str:
    """Return the path of prometheus or promtool."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: install Prometheus (Debian: apt-get install prometheus)")
    return found


def promtool(*arguments: str | Path, text: str = "") -> str:
    """Return what promtool prints; fail if it reports an error."""
    command = [program("promtool"), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=FOLDER, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@dataclass(frozen=True)
class Prometheus:
    """The API of a running Prometheus (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        response = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return the labels and the value of each series."""
        result = self.get("query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def value(self, expression: str) -> float | None:
        """Return the value of the only series, or None if there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def wait_for_scrapes(self) -> None:
        """Wait until every target has been scraped again."""
        now = time.time()
        wait_until(lambda: (self.value("min(timestamp(up))") or 0) > now, timeout=20, what="every target is scraped")

    def firing(self) -> set[str]:
        """Return the names of the firing alerts."""
        return {each["labels"]["alertname"] for each in self.get("alerts")["alerts"] if each["state"] == "firing"}

    def healthy_targets(self) -> set[str]:
        """Return the jobs with a healthy target."""
        return {each["labels"]["job"] for each in self.get("targets")["activeTargets"] if each["health"] == "up"}


def configuration(*, targets: dict[str, int], default: int) -> dict[str, Any]:
    """Return the configuration for `make up`, scraping these ports by job, or the default port, every second."""
    config: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.local.yaml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for scrape in config["scrape_configs"]:
        scrape["static_configs"] = [{"targets": [f"127.0.0.1:{targets.get(scrape['job_name'], default)}"]}]
    return config


def accelerated(rules: str, *, factor: int) -> str:
    """Return the rules with every window and every ``for:`` divided by ``factor``; thresholds stay unchanged."""
    seconds = {"s": 1, "m": 60, "h": 3600}

    def shorter(match: re.Match[str]) -> str:
        return f"{match[1]}{max(1, int(match[2]) * seconds[match[3]] // factor)}s{match[4]}"

    return re.sub(r"(\[|\bfor: )(\d+)([smh])(\]|$)", shorter, rules, flags=re.MULTILINE)


@contextmanager
def running_prometheus(folder: Path, config: dict[str, Any], *, rules: str) -> Iterator[Prometheus]:
    """Run Prometheus with this configuration and these rules, storing its data in the folder."""
    folder.mkdir()
    (folder / "alerts.yaml").write_text(rules, encoding="utf-8")
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    options = {
        "config.file": folder / "prometheus.yaml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": address,
        "log.level": "warn",
    }
    prometheus = Prometheus(f"http://{address}")
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [program("prometheus"), *(f"--{name}={value}" for name, value in options.items())],
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: _is_ready(prometheus), timeout=20, what=lambda: (folder / "output").read_text())
        yield prometheus
    finally:
        process.terminate()
        process.wait(timeout=20)


def _is_ready(prometheus: Prometheus) -> bool:
    try:
        return requests.get(f"{prometheus.url}/-/ready", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False
