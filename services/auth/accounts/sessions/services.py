"""Sessions: begun by a login, kept alive by refresh tokens that change at each use, and ended for good.

A refresh token that is used twice was either retried by a client that did not get the response, or stolen. A retry
comes at once, so the same response is given for some seconds; after that the whole session ends, since we cannot tell
the thief from the user (RFC 9700, section 4.14.2).
"""

import datetime
import uuid
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.credentials.lockout import KNOWN_FOR
from accounts.credentials.services import InvalidCredentials, check_credentials
from accounts.security_log import LOGIN_SUCCEEDED, REFRESH_TOKEN_REPLAYED, SESSIONS_ENDED, log_event
from accounts.sessions.announcements import KEPT_FOR, announcer
from accounts.sessions.models import USER_AGENT_MAXIMUM_UNITS, EndedSession, Session
from accounts.sessions.tokens import issue_tokens, new_jti
from accounts.users.models import User
from servicekit.database.deadlocks import retries_deadlocks
from servicekit.metrics import Counter
from servicekit.tokens.authentication import SESSION_ENDED
from servicekit.tokens.verifier import (
    LEEWAY_SECONDS,
    LIFETIME_SECONDS,
    InvalidToken,
    Principal,
    SessionEnded,
    verify,
    verify_at_any_time,
)

SAME_RESPONSE_FOR = datetime.timedelta(seconds=10)
CLOCK_SKEW = datetime.timedelta(seconds=LEEWAY_SECONDS)
LIFETIME = datetime.timedelta(seconds=LIFETIME_SECONDS["refresh"])
# However often it is refreshed: then its user has to give the password again (NIST SP 800-63B, at AAL1).
LONGEST_LIFETIME = datetime.timedelta(days=30)
LONGEST_ACCESS = datetime.timedelta(seconds=LIFETIME_SECONDS["access"] + LEEWAY_SECONDS)
# Of one user, at a time; one more ends the session that was used longest ago.
MOST_SESSIONS = 100

REFRESHED = Counter("auth_tokens_refreshed", "Refresh tokens that were exchanged, repeated requests included.")
ENDED = Counter("auth_sessions_ended", "Sessions that were ended, by reason.", ["reason"])


def log_in(*, username: str, password: str, user_agent: str, client: str, last_refresh: str = "") -> dict[str, Any]:
    """Return a pair of tokens for a new session; raises InvalidCredentials, TooManyRequests or ServiceUnavailable.

    ``last_refresh`` is a refresh token that the client got from an earlier login, if it shows one.
    """
    user = check_credentials(username=username, password=password, client=client, last=_holder(last_refresh))
    tokens = begin_session(user=user, user_agent=user_agent, client=client)
    if tokens is None:
        raise InvalidCredentials
    return tokens


def _holder(last_refresh: str) -> Principal | None:
    """Return whose refresh token it was, also after its session ended; None if it is too old or not a refresh token."""
    try:
        claims = verify_at_any_time(last_refresh)
    except InvalidToken:
        return None
    age = timezone.now().timestamp() - claims.issued_at
    recent = -LEEWAY_SECONDS <= age <= KNOWN_FOR.total_seconds()
    return claims.principal if recent and claims.token_type == "refresh" else None


@retries_deadlocks
def begin_session(*, user: User, user_agent: str, client: str) -> dict[str, Any] | None:
    """Return a pair of tokens for a new session of the user; None if the password or the account changed meanwhile.

    ``user`` is as it was when the password was checked.
    """
    now = timezone.now()
    unchanged = User.objects.filter(id=user.id, password=user.password, is_active=True, is_staff=user.is_staff)
    with transaction.atomic():
        # Changes nothing, but locks the row: a concurrent change of password ends this session, or prevents it.
        unchanged.update(is_active=True)
        if not unchanged.exists():
            return None
        sessions = Session.objects.filter(user=user)
        # Only here are expired sessions removed: only their user ever sees them.
        sessions.filter(expires_at__lte=now).delete()
        session = Session.objects.create(
            user=user,
            created_at=now,
            rotated_at=now,
            expires_at=now + LIFETIME,
            refresh_jti=new_jti(),
            previous_jti="",
            user_agent=_fit(user_agent),
            address=client,
        )
        session_id = str(session.id)
        transaction.on_commit(lambda: log_event(LOGIN_SUCCEEDED, user_id=user.id, client=client, session_id=session_id))
        oldest = list(sessions.order_by("-rotated_at", "-id").values_list("id", flat=True)[MOST_SESSIONS:])
        if oldest:
            _end(sessions.filter(id__in=oldest), user_id=user.id, reason="too many", client=client)
    return issue_tokens(session=session, user=user)


@retries_deadlocks
def rotate_session(*, token: str, user_agent: str, client: str) -> dict[str, Any]:
    """Return the successors of a refresh token and its access token; raises InvalidToken.

    The token before the current one gets the same response again within 10 s of its rotation, byte for byte. Later, or
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
        raise SessionEnded(SESSION_ENDED)
    user = session.user
    with transaction.atomic():
        # The condition decides which of several concurrent requests is the first, and the update locks the row until
        # the others may see the result. A SELECT with a lock is only a hint, which not every server takes.
        Session.objects.filter(id=session_id, user_id=claims.principal.user_id, refresh_jti=claims.jti).update(
            previous_jti=claims.jti,
            refresh_jti=new_jti(),
            rotated_at=now,
            expires_at=min(now + LIFETIME, session.created_at + LONGEST_LIFETIME),
            user_agent=_fit(user_agent),
            address=client,
        )
        session = Session.objects.filter(id=session_id, user_id=claims.principal.user_id).first()
        if session is None:
            raise SessionEnded(SESSION_ENDED)
        # A rotation that lies ahead was stamped by a clock that was wrong: how long ago it was is unknown.
        if claims.jti == session.previous_jti and -CLOCK_SKEW <= now - session.rotated_at <= SAME_RESPONSE_FOR:
            transaction.on_commit(REFRESHED.inc)
            return issue_tokens(session=session, user=user)
        # No exception in here: it would undo this.
        _end(Session.objects.filter(id=session.id), user_id=user.id, reason="replay", client=client)
    log_event(REFRESH_TOKEN_REPLAYED, user_id=user.id, client=client, session_id=str(session.id))
    raise SessionEnded(SESSION_ENDED)


def log_out(*, token: str, client: str) -> None:
    """End the session of a refresh token, current or not; does nothing if it has ended before."""
    try:
        principal = verify(token, token_type="refresh").principal
    except InvalidToken:
        return  # It is refused everywhere already, which is all that its holder wants.
    end_sessions(user_id=principal.user_id, session_id=uuid.UUID(principal.session_id), reason="logout", client=client)


@retries_deadlocks
def end_sessions(
    *,
    user_id: int,
    reason: str,
    client: str | None = None,
    session_id: uuid.UUID | None = None,
    except_session_id: uuid.UUID | None = None,
) -> int:
    """End the user's sessions, or one of them, or all but one; returns how many there were.

    Their tokens are refused here at once, and their access tokens by the other services within about two seconds.
    ``reason`` and ``client``, the IP address of the request, if any, are for the log.
    """
    sessions = Session.objects.filter(user_id=user_id)
    if session_id is not None:
        sessions = sessions.filter(id=session_id)
    if except_session_id is not None:
        sessions = sessions.exclude(id=except_session_id)
    with transaction.atomic():
        return _end(sessions, user_id=user_id, reason=reason, client=client)


def _end(sessions: QuerySet[Session], *, user_id: int, reason: str, client: str | None) -> int:
    """End the sessions, inside the caller's transaction; returns how many there were."""
    # Before they are read, so that none is refreshed in between: its new access token would go on.
    sessions.update(refresh_jti="")
    rotated = dict(sessions.values_list("id", "rotated_at"))
    if not rotated:
        return 0
    Session.objects.filter(id__in=rotated).delete()
    # By the clock that issued the tokens, whatever it says now; the others expired long ago, and there may be many.
    expire = {session_id: rotated_at + LONGEST_ACCESS for session_id, rotated_at in rotated.items()}
    EndedSession.objects.bulk_create(
        EndedSession(session_id=session_id, expires_at=expires_at)
        for session_id, expires_at in expire.items()
        if expires_at > timezone.now() - KEPT_FOR
    )
    # Not before it is true: after a rollback the sessions go on.
    transaction.on_commit(announcer.announce)
    transaction.on_commit(lambda: ENDED.labels(reason).inc(len(rotated)))
    ids = [str(session_id) for session_id in rotated]
    transaction.on_commit(
        lambda: log_event(SESSIONS_ENDED, user_id=user_id, client=client, reason=reason, session_ids=ids)
    )
    return len(rotated)


def _fit(user_agent: str) -> str:
    """Return as much of the header as the column holds; it comes from outside, so unprintable characters become ?."""
    printable = "".join(character if character.isprintable() else "?" for character in user_agent)
    units = printable.encode("utf-16-le", "replace")[: 2 * USER_AGENT_MAXIMUM_UNITS]
    return units.decode("utf-16-le", "ignore")
