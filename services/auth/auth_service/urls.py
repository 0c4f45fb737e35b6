"""The routes of the service."""

from django.urls import include, path

from accounts.users.models import User
from servicekit.http.health import check_database, check_redis, health_urls

urlpatterns = [
    path("", include("accounts.urls")),
    *health_urls(service="auth", checks={"database": check_database(User)}, useful={"redis": check_redis}),
]

handler400 = "servicekit.http.errors.bad_request"
handler403 = "servicekit.http.errors.permission_denied"
handler404 = "servicekit.http.errors.not_found"
handler500 = "servicekit.http.errors.server_error"
