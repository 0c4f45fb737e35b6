"""Issues the tokens that servicekit.jwt verifies."""

import uuid
from typing import Any

import jwt
from django.conf import settings
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.backends import TokenBackend

from accounts.models import User
from servicekit.jwt import ALGORITHM, AUDIENCE, ISSUER, LIFETIME_SECONDS


class _KeyRingBackend(TokenBackend):
    """simplejwt's backend with the key's name in the header, so that keys can be rotated."""

    def encode(self, payload: dict[str, Any]) -> str:
        key = settings.JWT_KEYS[0]
        claims = {**payload, "iss": ISSUER, "aud": AUDIENCE}
        return jwt.encode(claims, key.secret, algorithm=ALGORITHM, headers={"kid": key.kid})


class _AccessToken(tokens.AccessToken):
    _token_backend = _KeyRingBackend(ALGORITHM)


class _RefreshToken(tokens.RefreshToken):
    _token_backend = _KeyRingBackend(ALGORITHM)
    access_token_class = _AccessToken


def new_session_id() -> str:
    """What the tokens of one login have in common."""
    return str(uuid.uuid4())


def issue_tokens(*, user: User, session_id: str) -> dict[str, Any]:
    """A pair of tokens in the form of RFC 6749, section 5.1; ``expires_in`` is the access token's, in seconds."""
    refresh = _RefreshToken.for_user(user)
    refresh["sid"] = session_id
    access = refresh.access_token
    access["is_staff"] = user.is_staff
    return {
        "access": str(access),
        "refresh": str(refresh),
        "token_type": "Bearer",
        "expires_in": LIFETIME_SECONDS["access"],
    }
