"""Django's sessions for the admin, except that a clock that ran ahead does not make a session last longer."""

from datetime import timedelta

from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from servicekit.tokens.verifier import LEEWAY_SECONDS


class SessionStore(DatabaseSessionStore):
    """Database sessions; rejects one that expires later than a session started now would."""

    def _get_session_from_db(self) -> Session | None:
        session: Session | None = super()._get_session_from_db()  # type: ignore[misc] # not in the stubs
        longest = timedelta(seconds=self.get_session_cookie_age() + LEEWAY_SECONDS)
        if session is not None and session.expire_date <= timezone.now() + longest:
            return session
        self._session_key = None
        return None
