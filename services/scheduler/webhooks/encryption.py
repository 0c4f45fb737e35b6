"""Encrypt the endpoints' secrets at rest: a copy of the database alone signs nothing.

Fernet (AES-128-CBC with HMAC-SHA256) of `cryptography`: authenticated, versioned, and MultiFernet takes several keys,
so that they can be rotated. WEBHOOK_SECRET_KEY holds them as text of any form, from which HKDF derives Fernet's own.
"""

import base64
from functools import cache

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def encrypt(secret: str) -> str:
    """Encrypt with the first key."""
    return _fernet(settings.WEBHOOK_SECRET_KEYS).encrypt(secret.encode()).decode()


def decrypt(token: str) -> str:
    """Decrypt with any of the keys; raises cryptography.fernet.InvalidToken if none fits."""
    return _fernet(settings.WEBHOOK_SECRET_KEYS).decrypt(token.encode()).decode()


def reencrypt(token: str) -> str:
    """Decrypt with any of the keys and encrypt with the first; raises InvalidToken."""
    return _fernet(settings.WEBHOOK_SECRET_KEYS).rotate(token.encode()).decode()


@cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derive(key))) for key in keys])


def _derive(key: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"task-api webhook secrets").derive(key.encode())
