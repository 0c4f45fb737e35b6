"""Which tables the auth service makes."""

from typing import Any


class NoGroupTables:
    """Leaves out the tables of Django's auth app.

    The app is installed since simplejwt and the admin import it. Groups and permissions are not used, and what is not
    there need not be migrated, granted or explained.
    """

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """False for the app; no opinion on others."""
        return False if app_label == "auth" else None
