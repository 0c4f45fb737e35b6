"""Print the state that /readyz sends to the gateway when the database is unavailable."""

import django

django.setup()

from django.test import RequestFactory

from servicekit.http.health import NotReady, health_urls


def unavailable() -> None:
    raise NotReady("does not respond")


_, readyz = health_urls(service="tasks", checks={"database": unavailable, "redis": lambda: None})
print(readyz.callback(RequestFactory().get("/readyz"))["X-Readyz"])
