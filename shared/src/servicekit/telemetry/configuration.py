"""The tracing configuration from OpenTelemetry's variables: whether and where to send traces, and which.

They are read here rather than by OpenTelemetry, which does not support ``_FILE`` and, if a value is malformed, samples
every trace.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import re
from dataclasses import dataclass

from servicekit.process import env
from servicekit.process.env import ConfigurationError

SAMPLERS = tuple(
    prefix + name for prefix in ("", "parentbased_") for name in ("always_on", "always_off", "traceidratio")
)


@dataclass(frozen=True)
class Traces:
    """The URL to send spans to, the name of the sampler, and the share of traces that it samples, from 0 to 1."""

    url: str
    sampler: str
    share: float


def traces() -> Traces | None:
    """Return the configuration, or None if traces are off; raises ConfigurationError for a malformed variable."""
    endpoint = env.get("OTEL_EXPORTER_OTLP_ENDPOINT").rstrip("/")
    if not endpoint:
        return None
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", endpoint):
        raise ConfigurationError("OTEL_EXPORTER_OTLP_ENDPOINT", "must be a URL, such as http://collector:4318")
    sampler = env.choice("OTEL_TRACES_SAMPLER", "parentbased_always_on", choices=SAMPLERS)
    share = env.get("OTEL_TRACES_SAMPLER_ARG", "1")
    if not re.fullmatch(r"0(\.[0-9]+)?|1(\.0+)?", share, re.ASCII):
        raise ConfigurationError("OTEL_TRACES_SAMPLER_ARG", "must be a number from 0 to 1, such as 0.1")
    return Traces(f"{endpoint}/v1/traces", sampler, float(share))
