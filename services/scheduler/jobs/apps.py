"""The app's declaration."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Background jobs: the one domain of this service."""

    name = "jobs"

    def ready(self) -> None:
        """Loads the module that takes its import for the start of the process; the first request would be too late."""
        import jobs.health  # noqa: F401
