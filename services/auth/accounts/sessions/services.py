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
from django.db.models import QuerySet
from django.utils import timezone

from accounts.credentials.services import InvalidCredentials, check_credentials
from accounts.sessions.models import USER_AGENT_MAXIMUM_UNITS, Session
from accounts.sessions.tokens import issue_tokens, new_jti
from accounts.users.models import User
from servicekit.database.deadlocks import retries_deadlocks
from servicekit.tokens.revocation import RevocationUnavailable, announce_ended_sessions, is_ended
from servicekit.tokens.verifier import LEEWAY_SECONDS, LIFETIME_SECONDS, Claims, InvalidToken, verify

SAME_ANSWER_FOR = datetime.timedelta(seconds=10)
LIFETIME = datetime.timedelta(seconds=LIFETIME_SECONDS["refresh"])
# However often it is refreshed: then its user has to give the password again (NIST SP 800-63B, at AAL1).
LONGEST_LIFETIME = datetime.timedelta(days=30)
LONGEST_ACCESS = datetime.timedelta(seconds=LIFETIME_SECONDS["access"] + LEEWAY_SECONDS)
# Of one user, at a time; one more ends the one that was used longest ago.
MOST_SESSIONS = 100

logger = logging.getLogger("accounts.sessions")


def log_in(*, username: str, password: str, user_agent: str, address: str) -> dict[str, Any]:
    """A pair of tokens for a new session; raises InvalidCredentials, TooManyRequests or ServiceUnavailable."""
    user = check_credentials(username=username, password=password, address=address)
    tokens = begin_session(user=user, user_agent=user_agent, address=address)
    if tokens is None:
        raise InvalidCredentials
    return tokens


@retries_deadlocks
def begin_session(*, user: User, user_agent: str, address: str) -> dict[str, Any] | None:
    """A pair of tokens for a new session of the user; None where the password or the account changed meanwhile.

    ``user`` is as it was when the password was checked.
    """
    now = timezone.now()
    unchanged = User.objects.filter(id=user.id, password=user.password, is_active=True, is_staff=user.is_staff)
    with transaction.atomic():
        # Changes nothing, and locks the row: a new password ends the sessions before it, or finds this one.
        unchanged.update(is_active=True)
        if not unchanged.exists():
            return None
        sessions = Session.objects.filter(user=user)
        # Nobody else removes what has expired, and nobody but its user ever sees it.
        sessions.filter(expires_at__lte=now).delete()
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
        oldest = list(sessions.order_by("-rotated_at", "-id").values_list("id", flat=True)[MOST_SESSIONS:])
        if oldest:
            _end(sessions.filter(id__in=oldest))
    return issue_tokens(session=session, user=user)


@retries_deadlocks
def rotate_session(*, token: str, user_agent: str, address: str) -> dict[str, Any]:
    """The successors of a refresh token and its access token; raises InvalidToken.

    The token before the current one gets the same answer again within 10 s of its rotation, byte for byte. Later, or
    with any other token of the session, this is a replay: the session ends.
    """
    claims = verify(token, token_type="refresh")
    session_id = uuid.UUID(claims.principal.session_id)
    now = timezone.now()
    session = (
        Session.objects.select_related("user")
        .filter(id=session_id, user_id=claims.principal.user_id, user__is_active=True, expires_at__gt=now)
        .first()
    )
    if session is None:
        raise InvalidToken("The session has ended.")
    user = session.user
    with transaction.atomic():
        # The condition decides which of several requests at once is the first, and the change locks the row until the
        # others may look at what it did. Not a SELECT with a lock: that is a hint, which not every server takes.
        Session.objects.filter(id=session_id, user_id=claims.principal.user_id, refresh_jti=claims.jti).update(
            previous_jti=claims.jti,
            refresh_jti=new_jti(),
            rotated_at=now,
            expires_at=min(now + LIFETIME, session.created_at + LONGEST_LIFETIME),
            user_agent=_fit(user_agent),
            address=address,
        )
        session = Session.objects.filter(id=session_id, user_id=claims.principal.user_id).first()
        if session is None:
            raise InvalidToken("The session has ended.")
        if claims.jti == session.previous_jti and now - session.rotated_at <= SAME_ANSWER_FOR:
            return issue_tokens(session=session, user=user)
        # No exception in here: it would undo this.
        _end(Session.objects.filter(id=session.id))
    logger.warning("refresh token replayed", extra={"user": user.id, "session": str(session.id), "address": address})
    raise InvalidToken("The session has ended.")


def log_out(*, token: str) -> None:
    """Ends the session of a refresh token, any of the session's own; does nothing where it has ended before."""
    try:
        claims = verify(token, token_type="refresh")
    except InvalidToken:
        return  # It opens nothing any more, which is all that its holder wants.
    end_sessions(user_id=claims.principal.user_id, session_id=uuid.UUID(claims.principal.session_id))


@retries_deadlocks
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
        return _end(sessions)


def is_current(claims: Claims) -> bool:
    """Whether the token still opens what it was made for: an access token as far as this process has heard."""
    if claims.token_type == "access":
        return not is_ended(claims.principal.session_id)
    return Session.objects.filter(id=claims.principal.session_id, refresh_jti=claims.jti).exists()


def _end(sessions: QuerySet[Session]) -> int:
    """Ends the sessions, inside the caller's transaction; returns how many there were."""
    # Before they are read, so that none is refreshed in between: nobody would be told of the new access token.
    sessions.update(refresh_jti="")
    rotated = dict(sessions.values_list("id", "rotated_at"))
    Session.objects.filter(id__in=rotated).delete()
    # Only those of which an access token can be left: the others need no telling, and there may be many.
    recent = timezone.now() - LONGEST_ACCESS
    tell = [str(session_id) for session_id, rotated_at in rotated.items() if rotated_at > recent]

    def announce() -> None:
        try:
            announce_ended_sessions(tell)
        except RevocationUnavailable:
            logger.warning("ended sessions not announced", extra={"count": len(tell)}, exc_info=True)

    # Not before it is true: a process that heard of it early could see the session again after a rollback.
    transaction.on_commit(announce)
    return len(rotated)


def _fit(user_agent: str) -> str:
    """As much of the header as the column holds; it comes from outside, so what is not printable is shown as ?."""
    printable = "".join(character if character.isprintable() else "?" for character in user_agent)
    units = printable.encode("utf-16-le", "replace")[: 2 * USER_AGENT_MAXIMUM_UNITS]
    return units.decode("utf-16-le", "ignore")
