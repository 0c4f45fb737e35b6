"""Helpers of the services' tests: tokens, signed as the auth service signs them."""

import time
import uuid
from typing import Any

import jwt
from django.conf import settings

from servicekit.tokens.verifier import ALGORITHM, AUDIENCE, ISSUER, LIFETIME_SECONDS


def make_token(user_id: int = 1, *, is_staff: bool = False, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Return a valid access token for the user; ``claims`` override its own, and None omits a claim."""
    now = int(time.time())
    payload = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "token_type": "access",
        "user_id": str(user_id),
        "sid": str(uuid.uuid4()),
        "jti": uuid.uuid4().hex,
        "iat": now,
        "exp": now + LIFETIME_SECONDS["access"],
        "is_staff": is_staff,
        **claims,
    }
    key = settings.JWT_KEYS[0]
    return jwt.encode(
        {name: value for name, value in payload.items() if value is not None},
        key.secret,
        algorithm=ALGORITHM,
        headers={"kid": key.kid, **(header or {})},
    )


def bearer(user_id: int = 1, *, is_staff: bool = False) -> dict[str, str]:
    """Return the headers of a request by the user, for Django's test client."""
    return {"Authorization": f"Bearer {make_token(user_id, is_staff=is_staff)}"}
