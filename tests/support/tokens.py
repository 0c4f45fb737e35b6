"""Access tokens as the auth service signs them, and forged ones."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from typing import Any

import jwt

from support.environment import KID


class Seconds(int):
    """A time in a claim, in seconds from the token's creation."""


def make_claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a valid access token of user 1, with ``changes``; a claim that is None is left out."""
    now = int(time.time())
    claims = {
        "iss": "auth",
        "aud": "task-api",
        "token_type": "access",
        "user_id": "1",
        "sid": str(uuid.uuid4()),
        "jti": uuid.uuid4().hex,
        "iat": now,
        "exp": now + 300,
        "is_staff": False,
        **changes,
    }
    return {
        name: now + value if isinstance(value, Seconds) else value
        for name, value in claims.items()
        if value is not None
    }


def make_token(
    secret: str, *, kid: str = KID, header: dict[str, Any] | None = None, algorithm: str = "HS256", **claims: Any
) -> str:
    """Return a signed token with these header parameters and claims; those that are None are left out."""
    headers = {"kid": kid, **(header or {})}
    present = {name: value for name, value in headers.items() if value is not None}
    return jwt.encode(make_claims(**claims), secret, algorithm=algorithm, headers=present)


def encode_segment(part: bytes) -> str:
    """Return base64url without padding, as in RFC 7515, section 2."""
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def sign_by_hand(*, header: dict[str, Any], key: str | None, **claims: Any) -> str:
    """Return a token that PyJWT refuses to create: any header, signed by HMAC-SHA256 with any key or not at all."""
    text = ".".join(encode_segment(json.dumps(part).encode()) for part in (header, make_claims(**claims)))
    signature = b"" if key is None else hmac.digest(key.encode(), text.encode(), hashlib.sha256)
    return f"{text}.{encode_segment(signature)}"
