"""Verify the project's tokens; every service uses this verifier.

A token is a JWT (RFC 7519) signed with HS256. Its header names the key (``kid``), so keys can be rotated: the first of
``JWT_KEYS`` signs, all of them verify. Verification needs neither a database nor a table of users. It follows RFC 8725,
the best current practices for JWTs.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

import jwt
from jwt.utils import base64url_decode, base64url_encode

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
    """The token is not ours, not meant for this use, or not valid now; the message may be shown to the client.

    ``reason`` is a short form for the metrics.
    """

    reason = "invalid"


class UnknownKey(InvalidToken):
    """The token names an unknown key."""

    reason = "unknown key"


class ExpiredToken(InvalidToken):
    """The token was valid, but has expired."""

    reason = "expired"


class SessionEnded(InvalidToken):
    """The token's session has ended."""

    reason = "session ended"


@dataclass(frozen=True, slots=True)
class Principal:
    """The user, session and rights that an access token stands for; it takes the place of Django's ``request.user``."""

    user_id: int
    session_id: str  # A UUID.
    is_staff: bool

    @property
    def is_authenticated(self) -> Literal[True]:
        """Satisfy Django REST framework's ``IsAuthenticated``."""
        return True


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims that the services use."""

    principal: Principal
    token_type: TokenType
    jti: str
    issued_at: int
    expires_at: int


def verify(token: str, *, token_type: TokenType) -> Claims:
    """Verify the signature, key, times, issuer, audience, type and the form of every claim.

    ``token`` is the compact form without a scheme. Raises InvalidToken unless it is a token of the given type that the
    auth service issued and that is valid now (clocks may differ by 5 seconds).
    """
    claims = verify_any(token)
    if claims.token_type != token_type:
        raise InvalidToken(f"This is not {'an access' if token_type == 'access' else 'a refresh'} token.")
    return claims


def verify_any(token: str) -> Claims:
    """Verify a token of either type."""
    claims = verify_at_any_time(token)
    now = time.time()
    if claims.expires_at <= now - LEEWAY_SECONDS:
        raise ExpiredToken("The token has expired.")
    if claims.issued_at > now + LEEWAY_SECONDS:
        raise InvalidToken("The token is not valid yet.")
    return claims


def verify_at_any_time(token: str) -> Claims:
    """Verify everything but the times: the token was issued by us, but may have expired."""
    if len(token) > MAXIMUM_TOKEN_LENGTH:
        raise InvalidToken("The token is too long.")
    return _decode(token, current_keys())


@lru_cache(maxsize=4096)
def _decode(token: str, keys: tuple[Key, ...]) -> Claims:
    """Verify what does not depend on the time and so can be cached, which is most of the cost.

    Invalid tokens raise, and lru_cache does not cache exceptions, so only tokens that we signed fill the cache.
    """
    try:
        _check_encoding(token)
        secret = _secrets(keys).get(jwt.get_unverified_header(token).get("kid", ""))
        if secret is None:
            raise UnknownKey("The token is not signed by a known key.")
        payload = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=LEEWAY_SECONDS,
            options={"require": _REQUIRED_CLAIMS, "strict_aud": True, "verify_exp": False, "verify_iat": False},
        )
    except jwt.ImmatureSignatureError:
        raise InvalidToken("The token is not valid yet.") from None
    # Half of a surrogate pair in the token raises a UnicodeError, which is a ValueError.
    except (jwt.InvalidTokenError, ValueError):
        raise InvalidToken("The token is invalid.") from None
    return _claims_from(payload)


def _check_encoding(token: str) -> None:
    """Refuse any but the canonical encoding: base64 decoders also accept ``=``, ``+``, ``/`` and stray bits."""
    for segment in token.encode("ascii").split(b"."):
        if base64url_encode(base64url_decode(segment)) != segment:
            raise ValueError("not canonical base64url")


def _claims_from(payload: dict[str, Any]) -> Claims:
    """Turn a payload with a good signature into Claims; assume nothing about its form."""
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
        and type(issued_at) is int  # bool is an int, and 1.5 is a number, but we issue neither as a time
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
        issued_at=issued_at,
        expires_at=expires_at,
    )


@cache
def _secrets(keys: tuple[Key, ...]) -> dict[str, bytes]:
    return {key.kid: key.secret for key in keys}
