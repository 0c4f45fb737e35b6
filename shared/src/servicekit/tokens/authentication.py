"""Bearer tokens (RFC 6750) for Django REST framework."""

import logging
from typing import Any, cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from servicekit.metrics import Counter
from servicekit.process.client_address import client_address
from servicekit.tokens.revocation import is_ended
from servicekit.tokens.verifier import ExpiredToken, InvalidToken, Principal, SessionEnded, UnknownKey, verify

CHALLENGE = 'Bearer realm="api"'
SESSION_ENDED = "The session has ended."

logger = logging.getLogger("servicekit.tokens.authentication")

REFUSED = Counter("tokens_refused", "Tokens that were refused, by reason.", ["reason"])
for _kind in (InvalidToken, UnknownKey, ExpiredToken, SessionEnded):
    # Start at 0, so that the first refusal shows as an increase.
    REFUSED.labels(_kind.reason)


class BearerAuthentication(BaseAuthentication):
    """Authenticates a valid ``Authorization: Bearer <access token>`` as ``(principal, None)``.

    Without the header, the result is ``None``, and a view that is not public returns 401. Any other header is a 401.
    """

    def authenticate(self, request: HttpRequest | Request) -> tuple[Principal, Any] | None:
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise refusal(InvalidToken("The Authorization header must be: Bearer <access token>."), request)
        try:
            caller = verify(token.strip(), token_type="access").principal
        except InvalidToken as error:
            raise refusal(error, request) from None
        return caller, self.check_session(caller)

    def check_session(self, caller: Principal) -> Any:
        """Raise AuthenticationFailed if the session has ended; the result becomes ``request.auth``."""
        if is_ended(caller.session_id):
            raise session_ended()

    def authenticate_header(self, request: HttpRequest | Request) -> str:
        return CHALLENGE


def refusal(error: InvalidToken, request: HttpRequest | Request) -> AuthenticationFailed:
    """Return the 401 for a token, count it, and log an unknown key: it was retired, or the token is forged."""
    REFUSED.labels(error.reason).inc()
    if isinstance(error, UnknownKey):
        logger.warning("token with unknown key refused", extra={"client": client_address(request.META)})
    return AuthenticationFailed(str(error))


def session_ended() -> AuthenticationFailed:
    """Return the 401 for a valid token of a session that has ended; count it."""
    REFUSED.labels(SessionEnded.reason).inc()
    return AuthenticationFailed(SESSION_ENDED)


def principal(request: Request) -> Principal:
    """Return the caller of a view that is not public."""
    return cast(Principal, request.user)
