"""The database router."""

from typing import Any


class NoGroupTables:
    """Leave out the tables of Django's auth app.

    The app is installed because simplejwt and the admin import it. Groups and permissions are not used, and missing
    tables need not be migrated, granted or explained.
    """

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Return False for that app, and None, no opinion, for others."""
        return False if app_label == "auth" else None
