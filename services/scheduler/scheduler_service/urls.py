"""The routes of the service."""

from django.urls import include, path

from jobs import health as jobs
from jobs.models import Run
from servicekit.http.health import check_database, check_redis, health_urls
from webhooks import health as webhooks

urlpatterns = [
    path("", include("jobs.urls")),
    path("", include("webhooks.urls")),
    *health_urls(
        service="scheduler",
        # The database comes first: if it is unavailable, the later checks do not wait for it again.
        checks={
            "database": check_database(Run),
            "redis": check_redis,
            "beat": jobs.check_beat,
            "relay": jobs.check_relay,
        },
        # Late deliveries do not make the API unavailable.
        useful={"webhooks": webhooks.check_webhooks},
        measures=lambda: jobs.measures() | webhooks.measures(),
    ),
]

handler400 = "servicekit.http.errors.bad_request"
handler403 = "servicekit.http.errors.permission_denied"
handler404 = "servicekit.http.errors.not_found"
handler500 = "servicekit.http.errors.server_error"
