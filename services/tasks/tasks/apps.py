"""The app's configuration."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    """Tasks, the only domain of this service."""

    name = "tasks"
