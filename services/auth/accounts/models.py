"""Where Django looks for the app's models."""

from accounts.credentials.models import AttemptCount
from accounts.sessions.models import Session
from accounts.users.models import User

__all__ = ["AttemptCount", "Session", "User"]
