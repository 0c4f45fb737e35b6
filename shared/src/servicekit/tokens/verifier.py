"""The project's tokens: the shared keys, and the one verifier that every service uses.

A token is a JWT (RFC 7519) signed by HS256. Its header names the key (``kid``), so that keys can be rotated: the
first of ``JWT_KEYS`` signs, all of them verify. Verification needs no database and no table of users. RFC 8725 (best
current practices) is where the strictness comes from.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

import jwt

from servicekit.tokens.keyring import current_keys
from servicekit.tokens.keys import Key

ALGORITHM = "HS256"
ISSUER = "auth"
AUDIENCE = "task-api"
LEEWAY_SECONDS = 5
LIFETIME_SECONDS: Mapping[str, int] = {"access": 5 * 60, "refresh": 7 * 24 * 60 * 60}
MAXIMUM_TOKEN_LENGTH = 4096

TokenType = Literal["access", "refresh"]

_SESSION_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII)
_USER_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_REQUIRED_CLAIMS = ["iss", "aud", "token_type", "user_id", "sid", "jti", "iat", "exp"]
_LARGEST_ID = 2**63 - 1


class InvalidToken(Exception):
    """The token is not one of ours, not for this use, or no longer valid; the message may be shown to the caller."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes the request, as the access token says it. Stands where Django expects ``request.user``."""

    user_id: int
    session_id: str  # A UUID.
    is_staff: bool

    @property
    def is_authenticated(self) -> Literal[True]:
        """What Django REST framework's ``IsAuthenticated`` asks."""
        return True


@dataclass(frozen=True, slots=True)
class Claims:
    """The verified claims that the services use."""

    principal: Principal
    token_type: TokenType
    jti: str
    expires_at: int


def verify(token: str, *, token_type: TokenType) -> Claims:
    """Checks signature, key, times, issuer, audience, type and the shape of every claim.

    ``token`` is the compact form without a scheme. Raises InvalidToken for anything that is not exactly a token of
    the given type that the auth service issued and that is valid now (clocks may differ by 5 seconds).
    """
    claims = verify_any(token)
    if claims.token_type != token_type:
        raise InvalidToken(f"This is not {'an access' if token_type == 'access' else 'a refresh'} token.")
    return claims


def verify_any(token: str) -> Claims:
    """Like verify, for a token of either type."""
    if len(token) > MAXIMUM_TOKEN_LENGTH:
        raise InvalidToken("The token is too long.")
    claims = _decode(token, current_keys())
    # Again, since the claims may have been read a while ago.
    if claims.expires_at <= time.time() - LEEWAY_SECONDS:
        raise InvalidToken("The token has expired.")
    return claims


@lru_cache(maxsize=4096)
def _decode(token: str, keys: tuple[Key, ...]) -> Claims:
    """Everything but the time that passes, which is why it can be remembered: it is most of a request's cost.

    What is refused is an exception, and exceptions are not remembered: only holders of valid tokens fill the cache.
    """
    try:
        secret = _secrets(keys).get(jwt.get_unverified_header(token).get("kid", ""))
        if secret is None:
            raise InvalidToken("The token is not signed by a known key.")
        payload = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=LEEWAY_SECONDS,
            options={"require": _REQUIRED_CLAIMS, "strict_aud": True},
        )
    except jwt.ExpiredSignatureError:
        raise InvalidToken("The token has expired.") from None
    # Half of a surrogate pair in the token is a UnicodeError, which is a ValueError.
    except (jwt.InvalidTokenError, ValueError):
        raise InvalidToken("The token is invalid.") from None
    return _claims_from(payload)


def _claims_from(payload: dict[str, Any]) -> Claims:
    """Turns a payload with a good signature into Claims, taking nothing for granted about who wrote it."""
    token_type, user_id, issued_at, expires_at = (payload[name] for name in ("token_type", "user_id", "iat", "exp"))
    is_staff = payload.get("is_staff", False)
    well_formed = (
        token_type in ("access", "refresh")
        and isinstance(user_id, str)
        and _USER_ID.fullmatch(user_id) is not None
        and int(user_id) <= _LARGEST_ID
        and isinstance(payload["sid"], str)
        and _SESSION_ID.fullmatch(payload["sid"]) is not None
        and isinstance(payload["jti"], str)
        and 0 < len(payload["jti"]) <= 64
        and type(issued_at) is int  # bool is an int, and 1.5 a number, but neither is a time that we issue
        and type(expires_at) is int
        and 0 < expires_at - issued_at <= LIFETIME_SECONDS[token_type]
        and type(is_staff) is bool
        and ("is_staff" in payload or token_type == "refresh")
    )
    if not well_formed:
        raise InvalidToken("The token is invalid.")
    return Claims(
        principal=Principal(user_id=int(user_id), session_id=payload["sid"], is_staff=is_staff),
        token_type=token_type,
        jti=payload["jti"],
        expires_at=expires_at,
    )


@cache
def _secrets(keys: tuple[Key, ...]) -> dict[str, bytes]:
    return {key.kid: key.secret for key in keys}
