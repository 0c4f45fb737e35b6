"""Bearer tokens in the service that owns the sessions."""

from accounts.sessions.selectors import get_caller
from accounts.users.models import User
from servicekit.tokens.authentication import BearerAuthentication, session_ended
from servicekit.tokens.verifier import Principal


class SessionAuthentication(BearerAuthentication):
    """Look the session up in our own table: an ended one is refused at once, whatever Redis knows of it."""

    def check_session(self, caller: Principal) -> User:
        """Return the caller's row for ``request.auth``; raises AuthenticationFailed."""
        user = get_caller(principal=caller)
        if user is None:
            raise session_ended()
        return user
