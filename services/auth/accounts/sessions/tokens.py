"""Issuing the tokens that servicekit.tokens.verifier verifies."""

import hashlib
import uuid
from datetime import timedelta
from typing import Any

import jwt
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.backends import TokenBackend

from accounts.sessions.models import Session
from accounts.users.models import User
from servicekit.tokens.keyring import current_keys
from servicekit.tokens.verifier import ALGORITHM, AUDIENCE, ISSUER, LIFETIME_SECONDS


class _KeyRingBackend(TokenBackend):
    """Signs with the current key and puts its kid in the header, so that keys can be rotated."""

    def encode(self, payload: dict[str, Any]) -> str:
        key = current_keys()[0]
        claims = {**payload, "iss": ISSUER, "aud": AUDIENCE}
        return jwt.encode(claims, key.secret, algorithm=ALGORITHM, headers={"kid": key.kid})


class _AccessToken(tokens.AccessToken):
    _token_backend = _KeyRingBackend(ALGORITHM)


class _RefreshToken(tokens.RefreshToken):
    _token_backend = _KeyRingBackend(ALGORITHM)
    access_token_class = _AccessToken


def new_jti() -> str:
    """Return a random id for a refresh token."""
    return uuid.uuid4().hex


def issue_tokens(*, session: Session, user: User) -> dict[str, Any]:
    """Return the session's current pair of tokens in the form of RFC 6749, section 5.1; ``expires_in`` is in seconds.

    Everything in them is derived from the rows, so a repeated call returns the same bytes.
    """
    refresh = _RefreshToken.for_user(user)
    refresh["sid"] = str(session.id)
    refresh["jti"] = session.refresh_jti
    refresh.current_time = session.rotated_at
    access = refresh.access_token
    # Derived from the refresh token's jti by a one-way function: as hard to guess, but it does not reveal that jti.
    access["jti"] = hashlib.sha256(session.refresh_jti.encode()).hexdigest()[:32]
    access["is_staff"] = user.is_staff
    for token in (refresh, access):
        token.set_iat(at_time=session.rotated_at)
    access.set_exp(from_time=session.rotated_at)
    refresh.set_exp(from_time=session.expires_at, lifetime=timedelta(0))
    return {
        "access": str(access),
        "refresh": str(refresh),
        "token_type": "Bearer",
        "expires_in": LIFETIME_SECONDS["access"],
    }
