"""The app's declaration."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    """Tasks: the one domain of this service."""

    name = "tasks"
