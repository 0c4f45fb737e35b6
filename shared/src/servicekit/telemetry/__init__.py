"""Traces and error reports, each imported only where a variable asks for it (docs/adr/0036 and 0038)."""

from servicekit.process import env


def start(part: str) -> None:
    """Start what the variables ask for, in a process of this part; after a fork, in the child."""
    if env.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        from servicekit.telemetry import tracing

        tracing.start(part)
    if env.get("SENTRY_DSN"):
        from servicekit.telemetry import error_reports

        error_reports.start(part)
