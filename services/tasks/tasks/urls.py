"""The routes, each with or without a trailing slash."""

from django.urls import re_path

from tasks.views import TaskDetailView, TaskListView

urlpatterns = [
    re_path(r"^api/tasks/?$", TaskListView.as_view(), name="task-list"),
    # Not Django's int converter, which is unlimited: here the digits are ASCII, no more than a bigint has, and without
    # leading zeros, so a task has only one path.
    re_path(r"^api/tasks/(?P<task_id>[1-9][0-9]{0,18})/?$", TaskDetailView.as_view(), name="task-detail"),
]
