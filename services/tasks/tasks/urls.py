"""The routes, each with or without a slash at its end."""

from django.urls import re_path

from tasks.views import TaskDetailView, TaskListView

urlpatterns = [
    re_path(r"^api/tasks/?$", TaskListView.as_view(), name="task-list"),
    # Not Django's int converter: its range is open, and here the digits are ASCII and as many as a bigint has.
    re_path(r"^api/tasks/(?P<task_id>[0-9]{1,19})/?$", TaskDetailView.as_view(), name="task-detail"),
]
