import pytest

from servicekit.process.env import ConfigurationError
from servicekit.telemetry.configuration import Traces, traces

ENDPOINT, SAMPLER, ARGUMENT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"


@pytest.fixture(autouse=True)
def endpoint(monkeypatch):
    monkeypatch.setenv(ENDPOINT, "http://collector:4318")


def test_without_an_endpoint_nothing_is_traced(monkeypatch):
    monkeypatch.setenv(ENDPOINT, "")
    assert traces() is None


def test_every_trace_is_made_unless_something_else_is_said():
    assert traces() == Traces("http://collector:4318/v1/traces", "parentbased_always_on", 1.0)


def test_each_variable_can_be_a_file(monkeypatch, tmp_path):
    values = {ENDPOINT: "https://collector/otlp/", SAMPLER: "traceidratio", ARGUMENT: "0.1"}
    monkeypatch.delenv(ENDPOINT)
    for name, value in values.items():
        (tmp_path / name).write_text(f"{value}\n", encoding="utf-8")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    assert traces() == Traces("https://collector/otlp/v1/traces", "traceidratio", 0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((ENDPOINT, value) for value in ("collector:4318", "grpc://collector:4317", "http://", "http://a b")),
        *((SAMPLER, value) for value in ("sometimes", "jaeger_remote")),
        *((ARGUMENT, value) for value in ("10%", "0,1", "1.5", "-1", "nan")),
    ],
)
def test_malformed_variable_stops_the_start_and_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name}: must be "):
        traces()
