"""Starting, refreshing and ending sessions; each refresh token is valid for one use.

A refresh token that is used twice was either retried by a client that did not get the response, or stolen. A retry
follows within seconds, during which the response is the same; after that the whole session ends, since the thief cannot
be told from the user (RFC 9700, section 4.14.2).
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
# Refreshing does not extend a session beyond this; its user has to log in again (NIST SP 800-63B, at AAL1).
LONGEST_LIFETIME = datetime.timedelta(days=30)
LONGEST_ACCESS = datetime.timedelta(seconds=LIFETIME_SECONDS["access"] + LEEWAY_SECONDS)
# Per user; the least recently used session is ended to make room.
MOST_SESSIONS = 100

REFRESHED = Counter("auth_tokens_refreshed", "Refresh tokens exchanged, including repeated requests.")
ENDED = Counter("auth_sessions_ended", "Sessions ended, by reason.", ["reason"])


def log_in(*, username: str, password: str, user_agent: str, client: str, last_refresh: str = "") -> dict[str, Any]:
    """Return a pair of tokens for a new session; raises InvalidCredentials, TooManyRequests or ServiceUnavailable.

    ``last_refresh`` is a refresh token from an earlier login, or empty.
    """
    last = _principal_of_recent(last_refresh)
    user = check_credentials(username=username, password=password, client=client, last=last)
    tokens = begin_session(user=user, user_agent=user_agent, client=client)
    if tokens is None:
        raise InvalidCredentials
    return tokens


def _principal_of_recent(last_refresh: str) -> Principal | None:
    """Return the principal of a refresh token, even of an ended session; None if it is not one or is too old."""
    try:
        claims = verify_at_any_time(last_refresh)
    except InvalidToken:
        return None
    age = timezone.now().timestamp() - claims.issued_at
    recent = -LEEWAY_SECONDS <= age <= KNOWN_FOR.total_seconds()
    return claims.principal if recent and claims.token_type == "refresh" else None


@retries_deadlocks
def begin_session(*, user: User, user_agent: str, client: str) -> dict[str, Any] | None:
    """Return a pair of tokens for a new session; None if the account has changed since the password was checked.

    ``user`` is the row as it was when the password was checked.
    """
    now = timezone.now()
    unchanged = User.objects.filter(id=user.id, password=user.password, is_active=True, is_staff=user.is_staff)
    with transaction.atomic():
        # Changes nothing, but locks the row: a concurrent password change either ends this session or prevents it.
        unchanged.update(is_active=True)
        if not unchanged.exists():
            return None
        sessions = Session.objects.filter(user=user)
        # The only place where expired sessions are deleted: only their user sees them.
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
    """Exchange a refresh token for a new pair of tokens; raises InvalidToken.

    Within 10 s of its rotation, the previous token gets the same response again, byte for byte. Later, and for any
    other token of the session, this is a replay: the session ends.
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
        # commit. Locking in a SELECT is only a hint, which not every server honours.
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
        # A rotation in the future was recorded by a wrong clock: its age is unknown.
        if claims.jti == session.previous_jti and -CLOCK_SKEW <= now - session.rotated_at <= SAME_RESPONSE_FOR:
            transaction.on_commit(REFRESHED.inc)
            return issue_tokens(session=session, user=user)
        # Raise only after the transaction: an exception would roll this back.
        _end(Session.objects.filter(id=session.id), user_id=user.id, reason="replay", client=client)
    log_event(REFRESH_TOKEN_REPLAYED, user_id=user.id, client=client, session_id=str(session.id))
    raise SessionEnded(SESSION_ENDED)


def log_out(*, token: str, client: str) -> None:
    """End the session of a refresh token, current or not; does nothing if it has already ended."""
    try:
        principal = verify(token, token_type="refresh").principal
    except InvalidToken:
        return  # An invalid token is refused everywhere already.
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
    """End all of the user's sessions, one of them, or all but one; returns the number of ended sessions.

    auth refuses their tokens immediately, and the other services their access tokens within about two seconds.
    ``reason`` and ``client``, the IP address of the request, if any, are logged.
    """
    sessions = Session.objects.filter(user_id=user_id)
    if session_id is not None:
        sessions = sessions.filter(id=session_id)
    if except_session_id is not None:
        sessions = sessions.exclude(id=except_session_id)
    with transaction.atomic():
        return _end(sessions, user_id=user_id, reason=reason, client=client)


def _end(sessions: QuerySet[Session], *, user_id: int, reason: str, client: str | None) -> int:
    """End the sessions, inside the caller's transaction; returns their number."""
    # Lock them before they are read: if one were refreshed in between, its new access token would stay valid.
    sessions.update(refresh_jti="")
    rotated = dict(sessions.values_list("id", "rotated_at"))
    if not rotated:
        return 0
    Session.objects.filter(id__in=rotated).delete()
    # Expiry is by the clock that issued the tokens. Tokens that expired more than KEPT_FOR ago need no row.
    expire = {session_id: rotated_at + LONGEST_ACCESS for session_id, rotated_at in rotated.items()}
    EndedSession.objects.bulk_create(
        EndedSession(session_id=session_id, expires_at=expires_at)
        for session_id, expires_at in expire.items()
        if expires_at > timezone.now() - KEPT_FOR
    )
    # Only on commit: after a rollback the sessions continue.
    transaction.on_commit(announcer.announce)
    transaction.on_commit(lambda: ENDED.labels(reason).inc(len(rotated)))
    ids = [str(session_id) for session_id in rotated]
    transaction.on_commit(
        lambda: log_event(SESSIONS_ENDED, user_id=user_id, client=client, reason=reason, session_ids=ids)
    )
    return len(rotated)


def _fit(user_agent: str) -> str:
    """Return the header truncated to the column's size, with each unprintable character replaced by ``?``."""
    printable = "".join(character if character.isprintable() else "?" for character in user_agent)
    units = printable.encode("utf-16-le", "replace")[: 2 * USER_AGENT_MAXIMUM_UNITS]
    return units.decode("utf-16-le", "ignore")
