"""The app's declaration."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Background jobs: the one domain of this service."""

    name = "jobs"

    def ready(self) -> None:
        """Import jobs.health now: it takes the time of its import for the start of the process."""
        import jobs.health  # noqa: F401
