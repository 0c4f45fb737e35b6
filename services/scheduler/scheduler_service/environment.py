"""Remove environment variables by which another project's shell would change Celery."""

from collections.abc import MutableMapping

# What celery.bin.celery and celery.app.utils read besides CELERY_*, each of which is an option of the command.
_FOREIGN = ("APP", "BROKER_URL", "RESULT_BACKEND", "LOADER", "CONFIG_MODULE", "SKIP_CHECKS", "WORKDIR")
_FOREIGN_PREFIXES = ("CELERY_", "CELERYD_")


# In which the command leaves the part's name to the processes of the pool.
PART = "SCHEDULER_PART"


def forget_foreign_variables(environment: MutableMapping[str, str]) -> None:
    """Remove them: our own settings are in settings.py, under other names."""
    for name in list(environment):
        if name in _FOREIGN or name.startswith(_FOREIGN_PREFIXES):
            del environment[name]
