"""Bearer authentication in the service that owns the sessions."""

from accounts.sessions.selectors import get_caller
from accounts.users.models import User
from servicekit.tokens.authentication import BearerAuthentication, session_ended
from servicekit.tokens.verifier import Principal


class SessionAuthentication(BearerAuthentication):
    """Looks the session up in the database, so that an ended one is refused immediately and without Redis."""

    def check_session(self, caller: Principal) -> User:
        """Return the caller's row, for ``request.auth``; raises AuthenticationFailed if the session has ended."""
        user = get_caller(principal=caller)
        if user is None:
            raise session_ended()
        return user
