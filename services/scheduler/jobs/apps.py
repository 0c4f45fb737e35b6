"""The app's configuration."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Background jobs and their runs."""

    name = "jobs"

    def ready(self) -> None:
        """Import jobs.health now, since it records the time of its import as the start of the process."""
        import jobs.health  # noqa: F401
