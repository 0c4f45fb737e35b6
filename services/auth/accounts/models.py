"""The app's models, imported where Django looks for them."""

from accounts.credentials.models import AttemptCount
from accounts.sessions.models import EndedSession, Session
from accounts.users.models import User

__all__ = ["AttemptCount", "EndedSession", "Session", "User"]
