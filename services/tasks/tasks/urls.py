"""The routes, each with or without a slash at its end."""

from django.urls import re_path

from tasks.views import TaskDetailView, TaskListView

urlpatterns = [
    re_path(r"^api/tasks/?$", TaskListView.as_view(), name="task-list"),
    # Not Django's int converter: its range is open, and here the digits are ASCII, as many as a bigint has, and no
    # task has a second address with zeros before its id.
    re_path(r"^api/tasks/(?P<task_id>[1-9][0-9]{0,18})/?$", TaskDetailView.as_view(), name="task-detail"),
]
