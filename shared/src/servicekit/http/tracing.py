"""The middleware that starts a request's trace; it is used only if OTEL_EXPORTER_OTLP_ENDPOINT is set."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from servicekit.http.metrics import METHODS, route_template
from servicekit.http.middleware import PROBES
from servicekit.telemetry import spans


def trace_request(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Trace each request as a span with its method, route and status; never its path, headers, body or user."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path in PROBES:
            return get_response(request)
        method = request.method if request.method in METHODS else "_OTHER"
        with spans.request(method or "", client=request.META.get("HTTP_TRACEPARENT", "")) as span:
            response = get_response(request)
            route = route_template("" if request.resolver_match is None else request.resolver_match.route)
            span.rename(f"{method} {route}")
            span.describe(
                http__request__method=method or "",
                http__route=route,
                http__response__status_code=response.status_code,
            )
            if response.status_code >= 500:
                span.fail(str(response.status_code))
            return response

    return middleware
