"""Every route of the service."""

from django.urls import include, path

from jobs.health import check_beat, check_relay, measures
from jobs.models import Run
from servicekit.http.health import check_database, check_redis, health_urls

urlpatterns = [
    path("", include("jobs.urls")),
    path("", include("webhooks.urls")),
    *health_urls(
        service="scheduler",
        # In this order: without a database, the later ones do not wait for one a second time.
        checks={"database": check_database(Run), "redis": check_redis, "beat": check_beat, "relay": check_relay},
        measures=measures,
    ),
]

handler400 = "servicekit.http.errors.bad_request"
handler403 = "servicekit.http.errors.permission_denied"
handler404 = "servicekit.http.errors.not_found"
handler500 = "servicekit.http.errors.server_error"
