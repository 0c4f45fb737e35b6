"""Sessions: begun by a login, kept alive by refresh tokens that change at each use, and ended for good.

A refresh token that is used a second time was copied: by a client that did not get the answer (it asks again at once)
or by a thief. So the same answer is given for some seconds, and after that the whole session ends, since nobody can
tell which of the two is the thief (RFC 9700, section 4.14.2).
"""

import datetime
import logging
import uuid
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import USER_AGENT_MAXIMUM_UNITS, Session, User
from accounts.tokens import issue_tokens, new_jti
from servicekit.jwt import LIFETIME_SECONDS, InvalidToken, verify
from servicekit.revocation import RevocationUnavailable, announce_ended_sessions

SAME_ANSWER_FOR = datetime.timedelta(seconds=10)
LIFETIME = datetime.timedelta(seconds=LIFETIME_SECONDS["refresh"])

logger = logging.getLogger("accounts.sessions")


def begin_session(*, user: User, user_agent: str, address: str) -> dict[str, Any]:
    """A pair of tokens for a new session of the user."""
    now = timezone.now()
    # Nobody else removes what has expired, and nobody but its user ever sees it.
    Session.objects.filter(user=user, expires_at__lte=now).delete()
    session = Session.objects.create(
        user=user,
        created_at=now,
        rotated_at=now,
        expires_at=now + LIFETIME,
        refresh_jti=new_jti(),
        previous_jti="",
        user_agent=_fit(user_agent),
        address=address,
    )
    return issue_tokens(session=session, user=user)


def rotate_session(*, token: str, user_agent: str, address: str) -> dict[str, Any]:
    """The successors of a refresh token and its access token; raises InvalidToken.

    The token before the current one gets the same answer again within 10 s of its rotation, byte for byte. Later, or
    with any other token of the session, this is a replay: the session ends.
    """
    claims = verify(token, token_type="refresh")
    session_id = uuid.UUID(claims.principal.session_id)
    now = timezone.now()
    with transaction.atomic():
        # The condition decides which of several requests at once is the first, and the change locks the row until the
        # others may look at what it did. Not a SELECT with a lock: that is a hint, which not every server takes.
        Session.objects.filter(id=session_id, user_id=claims.principal.user_id, refresh_jti=claims.jti).update(
            previous_jti=claims.jti,
            refresh_jti=new_jti(),
            rotated_at=now,
            expires_at=now + LIFETIME,
            user_agent=_fit(user_agent),
            address=address,
        )
        session = Session.objects.filter(id=session_id, user_id=claims.principal.user_id).first()
        user = User.objects.filter(id=claims.principal.user_id, is_active=True).first()
        if session is None or user is None:
            raise InvalidToken("The session has ended.")
        if claims.jti == session.previous_jti and now - session.rotated_at <= SAME_ANSWER_FOR:
            return issue_tokens(session=session, user=user)
        # No exception in here: it would undo this.
        Session.objects.filter(id=session.id).delete()
    _announce([session.id])
    logger.warning("refresh token replayed", extra={"user": user.id, "session": str(session.id), "address": address})
    raise InvalidToken("The session has ended.")


def log_out(*, token: str) -> None:
    """Ends the session of a refresh token, any of the session's own; does nothing where it has ended before."""
    try:
        claims = verify(token, token_type="refresh")
    except InvalidToken:
        return  # It opens nothing any more, which is all that its holder wants.
    end_sessions(user_id=claims.principal.user_id, session_id=uuid.UUID(claims.principal.session_id))


def end_sessions(
    *, user_id: int, session_id: uuid.UUID | None = None, except_session_id: uuid.UUID | None = None
) -> int:
    """Ends the user's sessions, or one of them, or all but one; returns how many there were.

    Refresh tokens are dead at once, access tokens when the services have heard of it, within about two seconds.
    """
    sessions = Session.objects.filter(user_id=user_id)
    if session_id is not None:
        sessions = sessions.filter(id=session_id)
    if except_session_id is not None:
        sessions = sessions.exclude(id=except_session_id)
    with transaction.atomic():
        ended = list(sessions.values_list("id", flat=True))
        Session.objects.filter(id__in=ended).delete()
    _announce(ended)
    return len(ended)


def _announce(session_ids: list[uuid.UUID]) -> None:
    def announce() -> None:
        try:
            announce_ended_sessions(map(str, session_ids))
        except RevocationUnavailable:
            logger.warning("ended sessions not announced", extra={"count": len(session_ids)}, exc_info=True)

    # Not before it is true: a process that heard of it early could see the session again after a rollback.
    transaction.on_commit(announce)


def _fit(user_agent: str) -> str:
    """As much of the header as the column holds; it comes from outside, so what is not printable is shown as ?."""
    printable = "".join(character if character.isprintable() else "?" for character in user_agent)
    units = printable.encode("utf-16-le", "replace")[: 2 * USER_AGENT_MAXIMUM_UNITS]
    return units.decode("utf-16-le", "ignore")
