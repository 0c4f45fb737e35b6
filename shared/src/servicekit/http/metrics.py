"""Measure every request by its route, never by its path, which the client chooses."""

import re

from django.contrib.admindocs.utils import remove_non_capturing_groups, replace_metacharacters, replace_named_groups
from django.http import HttpRequest

from servicekit.metrics import LATENCY_BUCKETS, Gauge, Histogram

# Named by OpenTelemetry's conventions (https://opentelemetry.io/docs/specs/semconv/http/http-metrics/).
DURATION = Histogram(
    "http_server_request_duration_seconds",
    "Duration of requests, without the probes: by method, template of the route, and status.",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=LATENCY_BUCKETS,
)
ACTIVE = Gauge("http_server_active_requests", "Requests in progress.", multiprocess_mode="livesum")

# The route if none matches. Clients can invent paths and methods, and each would become a time series.
UNMATCHED = "unmatched"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})

_durations: dict[tuple[str, str, int], Histogram] = {}


def count_request(request: HttpRequest, *, status: int, seconds: float) -> None:
    """Record a request for which the response is ready."""
    method, match = request.method, request.resolver_match
    if method not in METHODS:
        method = "_OTHER"
    key = (method, "" if match is None else match.route, status)
    duration = _durations.get(key)
    if duration is None:
        duration = _durations[key] = DURATION.labels(method, route_template(key[1]), status)
    duration.observe(seconds)


def route_template(route: str) -> str:
    """Return the route in OpenAPI's form: ``^api/tasks/(?P<id>[0-9]+)/?$`` becomes ``/api/tasks/{id}``."""
    if not route:
        return UNMATCHED
    plain = replace_metacharacters(remove_non_capturing_groups(replace_named_groups(route)))
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", plain).strip("/")
