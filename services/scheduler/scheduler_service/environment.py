"""The environment of Celery's commands: variables that must not reach Celery, and the name of the part."""

from collections.abc import MutableMapping

# Variables that celery.bin.celery and celery.app.utils read besides CELERY_*, each for an option of the command.
_FOREIGN = ("APP", "BROKER_URL", "RESULT_BACKEND", "LOADER", "CONFIG_MODULE", "SKIP_CHECKS", "WORKDIR")
_FOREIGN_PREFIXES = ("CELERY_", "CELERYD_")


# The variable that passes the part's name to the processes of the pool.
PART = "SCHEDULER_PART"


def forget_foreign_variables(environment: MutableMapping[str, str]) -> None:
    """Remove Celery's variables, which another project may have set; our settings are in settings.py."""
    for name in list(environment):
        if name in _FOREIGN or name.startswith(_FOREIGN_PREFIXES):
            del environment[name]
