"""The Django app of the shared package."""

from django.apps import AppConfig


class ServicekitConfig(AppConfig):
    name = "servicekit"

    def ready(self) -> None:
        from servicekit.database.statements import count_statements

        count_statements()
