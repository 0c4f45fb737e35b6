"""Django REST framework's ModelViewSet with simplejwt, as documented, with startproject's settings."""

import os

import django
from django.conf import settings

settings.configure(
    SECRET_KEY=os.environ["BENCH_KEY"],
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["BENCH_DATABASE"]}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    APPEND_SLASH=False,
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.CursorPagination",
        "PAGE_SIZE": 4,
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models  # noqa: E402
from rest_framework import pagination, routers, serializers, viewsets  # noqa: E402


class Task(models.Model):
    id = models.BigAutoField(primary_key=True)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, db_constraint=False)
    title = models.CharField(max_length=200)
    duration = models.PositiveIntegerField()
    version = models.BigIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = "tasks"
        db_table = "tasks_task"

    def __str__(self) -> str:
        return self.title


class TaskSerializer(serializers.ModelSerializer[Task]):
    class Meta:
        model = Task
        fields = ("id", "title", "duration", "created_at", "updated_at")


class NewestFirst(pagination.CursorPagination):
    ordering = ("-created_at", "-id")


class TaskViewSet(viewsets.ModelViewSet[Task]):
    serializer_class = TaskSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> models.QuerySet[Task]:
        return Task.objects.filter(owner=self.request.user)

    def perform_create(self, serializer: serializers.BaseSerializer[Task]) -> None:
        serializer.save(owner=self.request.user)


router = routers.DefaultRouter(trailing_slash=False)
router.register("api/tasks", TaskViewSet, basename="task")
urlpatterns = router.urls

application = get_wsgi_application()


def prepare() -> None:
    """Create the tables of Django's own apps, and user 1."""
    call_command("migrate", verbosity=0)
    User.objects.create(id=1, username="bench")


if __name__ == "__main__":
    prepare()
