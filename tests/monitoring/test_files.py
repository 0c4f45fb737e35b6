"""The rules, configurations and dashboard of deploy/monitoring, checked by promtool and against the code."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from support.paths import CHECKOUT
from support.prometheus import FOLDER, promtool

RULES = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]
RECORDED = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
COMPOSE = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text(encoding="utf-8"))
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",), "gauge": ("",)}
# Series of Prometheus itself.
OWN = {"up", "ALERTS"}


def test_promtool_finds_nothing_wrong() -> None:
    promtool("check", "rules", "alerts.yaml")
    for name in ("prometheus.yaml", "prometheus.local.yaml"):
        promtool("check", "config", name)


def test_each_alert_fires_and_is_over_where_its_promtool_test_says_so() -> None:
    promtool("test", "rules", "alerts.test.yaml")
    tests = yaml.safe_load((FOLDER / "alerts.test.yaml").read_text(encoding="utf-8"))["tests"]
    held = [(check["alertname"], bool(check["exp_alerts"])) for test in tests for check in test["alert_rule_test"]]

    assert set(held) >= {(alert["alert"], True) for alert in ALERTS}
    assert set(held) >= {(alert["alert"], False) for alert in ALERTS}


def test_each_alert_has_its_section_in_the_runbook() -> None:
    page = (CHECKOUT / "docs/operations.md").read_text(encoding="utf-8")
    sections = {heading.lower() for heading in re.findall(r"^#### (\w+)$", page, re.MULTILINE)}

    assert {alert["annotations"]["runbook"] for alert in ALERTS} == {f"docs/operations.md#{name}" for name in sections}
    assert all(alert["annotations"]["runbook"].endswith(f"#{alert['alert'].lower()}") for alert in ALERTS)
    assert {alert["labels"]["severity"] for alert in ALERTS} == {"page", "ticket"}


def test_each_part_of_the_compose_file_is_scraped_under_its_name() -> None:
    scrapes = yaml.safe_load((FOLDER / "prometheus.yaml").read_text(encoding="utf-8"))["scrape_configs"]
    found = {}
    for scrape in scrapes:
        [discovery] = scrape["dns_sd_configs"]
        [name] = discovery["names"]
        environment = COMPOSE["services"][name]["environment"]
        assert environment["METRICS_ADDRESS"] == f"0.0.0.0:{discovery['port']}"
        assert "internal" in COMPOSE["services"][name]["networks"]
        found[name] = scrape["metrics_path"]
        assert scrape["job_name"] == scrape["metrics_path"].removeprefix("/")

    served = {name: service.get("environment", {}) for name, service in COMPOSE["services"].items()}
    folders = {
        name: environment["METRICS_DIR"].removeprefix("/tmp/metrics")
        for name, environment in served.items()
        if "METRICS_DIR" in environment and COMPOSE["services"][name]["restart"] != "no" and name != "admin"
    }
    assert found == folders | {"metrics": "/gateway"}


def test_both_configurations_scrape_the_same_jobs() -> None:
    jobs = [
        {scrape["job_name"]: scrape["metrics_path"] for scrape in yaml.safe_load(path.read_text())["scrape_configs"]}
        for path in (FOLDER / "prometheus.yaml", FOLDER / "prometheus.local.yaml")
    ]
    assert jobs[0] == jobs[1]


def test_queries_of_the_dashboard_and_the_rules_are_of_metrics_that_there_are() -> None:
    known = {name for name, _, _ in series()} | RECORDED | OWN
    named = set()
    for expression in (*dashboard_queries(), *(rule["expr"] for group in RULES["groups"] for rule in group["rules"])):
        plain = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|on) \([^)]*\)|#.*", "", expression)
        named |= {name for name in re.findall(r"[a-zA-Z_:][\w:]*", plain) if "_" in name or name in OWN}
    named -= {"histogram_quantile"}

    assert len(named) > 20
    assert named <= known, named - known


def test_page_of_metrics_lists_each_with_its_labels() -> None:
    page = (CHECKOUT / "docs/metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\|", page, re.MULTILINE)
    listed = {(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}

    assert listed == {(name, kind, labels) for name, kind, labels in metrics()}


def dashboard_queries() -> Iterator[str]:
    """Yield each query of the dashboard, with a window in place of Grafana's variable."""
    dashboard = json.loads((FOLDER / "grafana/dashboards/task-api.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__rate_interval", "1m")


def series() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield the name, kind and labels of the time series of each metric."""
    for name, kind, labels in metrics():
        base = name.removesuffix("_total")
        for suffix in SUFFIXES[kind]:
            yield base + suffix, kind, labels


def metrics() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield the name, kind and labels of each metric that the code defines."""
    for path in [*(CHECKOUT / "shared/src").rglob("*.py"), *(CHECKOUT / "services").glob("*/*/**/*.py")]:
        if "tests" in path.parts or ".venv" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if is_call and (found := _metric(node.func.id, node)):
                yield found


def _metric(maker: str, call: ast.Call) -> tuple[str, str, tuple[str, ...]] | None:
    kinds = {
        "Counter": "counter",
        "Gauge": "gauge",
        "Histogram": "histogram",
        "CounterMetricFamily": "counter",
        "GaugeMetricFamily": "gauge",
        "Metric": "gauge",
    }
    if maker not in kinds or not call.args or not isinstance(call.args[0], ast.Constant):
        return None
    kind, name = kinds[maker], call.args[0].value
    labels: Any = next((keyword.value for keyword in call.keywords if keyword.arg == "labels"), None)
    if labels is None and len(call.args) > 2 and isinstance(call.args[2], ast.List):
        labels = call.args[2]
    names = tuple(ast.literal_eval(labels)) if labels is not None else ()
    return (name if kind != "counter" else f"{name}_total"), kind, names
