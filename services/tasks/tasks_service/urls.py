"""Every route of the service."""

from django.urls import include, path

from servicekit.health import check_database, check_redis, health_urls
from tasks.models import Task

urlpatterns = [
    path("", include("tasks.urls")),
    *health_urls(service="tasks", checks={"database": check_database(Task)}, useful={"redis": check_redis}),
]

handler400 = "servicekit.errors.bad_request"
handler403 = "servicekit.errors.permission_denied"
handler404 = "servicekit.errors.not_found"
handler500 = "servicekit.errors.server_error"
