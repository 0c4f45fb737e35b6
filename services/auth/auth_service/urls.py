"""Every route of the service."""

from django.urls import include, path

from accounts.models import User
from servicekit.health import check_database, check_redis, health_urls

urlpatterns = [
    path("", include("accounts.urls")),
    *health_urls(service="auth", checks={"database": check_database(User)}, useful={"redis": check_redis}),
]

handler400 = "servicekit.errors.bad_request"
handler403 = "servicekit.errors.permission_denied"
handler404 = "servicekit.errors.not_found"
handler500 = "servicekit.errors.server_error"
