"""Every route of the service refuses requests without a token, except those named here."""

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

PUBLIC = {"healthz", "readyz"}

EXAMPLES = {
    "^api/tasks/?$": "api/tasks",
    "^api/tasks/(?P<task_id>[1-9][0-9]{0,18})/?$": "api/tasks/1",
    "healthz": "healthz",
    "readyz": "readyz",
}


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


def test_every_route_has_an_example():
    assert set(ROUTES) == set(EXAMPLES)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"])
@pytest.mark.parametrize("route", [route for route in ROUTES if route not in PUBLIC])
def test_anonymous_is_401(anonymous, route, method):
    response = anonymous(method, f"/{EXAMPLES[route]}")
    assert (response.status_code, response["WWW-Authenticate"]) == (401, 'Bearer realm="api"')


@pytest.mark.django_db
@pytest.mark.parametrize("route", sorted(PUBLIC))
def test_probes_are_public(anonymous, route):
    assert anonymous("GET", f"/{route}").status_code == 200


@pytest.mark.django_db
def test_readiness_needs_the_database_and_not_redis(anonymous):
    response = anonymous("GET", "/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "degraded",
        "service": "tasks",
        "checks": {"database": "ok", "redis": "does not respond"},
    }


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/", "/api/tasks/x", "/api/tasks//", "/admin/", "/healthz/", "/API/TASKS"]
)
def test_anything_else_is_a_404_problem(anonymous, path):
    response = anonymous("GET", path)
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
