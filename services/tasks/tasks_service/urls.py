"""All routes of the service."""

from servicekit.http.health import check_database, check_redis, health_urls
from tasks import urls
from tasks.models import Task

urlpatterns = [
    # Not with include(), which adds a level of routing to each request.
    *urls.urlpatterns,
    *health_urls(service="tasks", checks={"database": check_database(Task)}, useful={"redis": check_redis}),
]

handler400 = "servicekit.http.errors.bad_request"
handler403 = "servicekit.http.errors.permission_denied"
handler404 = "servicekit.http.errors.not_found"
handler500 = "servicekit.http.errors.server_error"
