"""Every route of the service refuses requests without a token, except those in PUBLIC."""

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from tests.conftest import API
from webhooks.urls import DELIVERY, WEBHOOK

PUBLIC = {"healthz", "readyz"}

EXAMPLES = {
    "^api/jobs/?$": "api/jobs",
    "^api/jobs/(?P<name>[a-z-]{1,64})/runs/?$": "api/jobs/report-user-tasks/runs",
    "^api/jobs/runs/?$": "api/jobs/runs",
    "^api/jobs/runs/(?P<run_id>[0-9]{1,19})/?$": "api/jobs/runs/1",
    "^api/webhooks/?$": "api/webhooks",
    f"{WEBHOOK}/?$": "api/webhooks/1",
    f"{WEBHOOK}/secret/?$": "api/webhooks/1/secret",
    f"{WEBHOOK}/test/?$": "api/webhooks/1/test",
    f"{WEBHOOK}/deliveries/?$": "api/webhooks/1/deliveries",
    f"{DELIVERY}/?$": "api/webhooks/1/deliveries/1",
    f"{DELIVERY}/redelivery/?$": "api/webhooks/1/deliveries/1/redelivery",
    "healthz": "healthz",
    "readyz": "readyz",
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"]


def every_route(patterns: list[URLPattern | URLResolver], prefix: str = "") -> list[str]:
    routes = []
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            routes += every_route(pattern.url_patterns, route)
        else:
            routes.append(route)
    return routes


ROUTES = every_route(get_resolver().url_patterns)
PROTECTED = [route for route in ROUTES if route not in PUBLIC]
STAFF = [route for route in PROTECTED if route.startswith("^api/jobs")]


def test_every_route_has_an_example():
    assert set(ROUTES) == set(EXAMPLES)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("route", PROTECTED)
def test_anonymous_is_401(anonymous, route, method):
    response = anonymous(method, f"/{EXAMPLES[route]}")
    assert (response.status_code, response["WWW-Authenticate"]) == (401, 'Bearer realm="api"')


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("route", STAFF)
def test_who_is_not_staff_is_403(route, method):
    response = API(1)(method, f"/{EXAMPLES[route]}")
    assert (response.status_code, response["Content-Type"]) == (403, "application/problem+json")


@pytest.mark.parametrize("path", ["/", "/api/job", "/api/jobs//", "/api/jobs/runs/x", "/api/jobs/runs/١", "/healthz/"])
def test_anything_else_is_a_404_problem(staff, path):
    response = staff("GET", path)
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
