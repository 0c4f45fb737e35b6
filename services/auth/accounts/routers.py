"""Which tables the auth service makes."""

from typing import Any

_UNUSED_APPS = frozenset({"auth", "contenttypes"})


class NoContribTables:
    """Leaves out the tables of Django's auth and contenttypes apps.

    The apps are installed since simplejwt's modules import their models. Groups, permissions and content types are
    not used, and what is not there need not be migrated, granted or explained.
    """

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """False for the two apps; no opinion on others."""
        return False if app_label in _UNUSED_APPS else None
