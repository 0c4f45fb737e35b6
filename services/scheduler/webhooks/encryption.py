"""Encryption of the endpoints' secrets at rest: a copy of the database is not enough to sign.

Uses Fernet (AES-128-CBC with HMAC-SHA256) from `cryptography`: authenticated, versioned, and with key rotation by
MultiFernet. The keys in WEBHOOK_SECRET_KEY are arbitrary text, from which HKDF derives Fernet's keys.
"""

import base64
from functools import cache

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def encrypt(secret: str) -> str:
    """Encrypt a secret with the first key."""
    return _fernet(settings.WEBHOOK_SECRET_KEYS).encrypt(secret.encode()).decode()


def decrypt(token: str) -> str:
    """Decrypt a secret with any of the keys; raises cryptography.fernet.InvalidToken if none fits."""
    return _fernet(settings.WEBHOOK_SECRET_KEYS).decrypt(token.encode()).decode()


def reencrypt(token: str) -> str:
    """Decrypt with any of the keys and encrypt with the first; raises InvalidToken if none fits."""
    return _fernet(settings.WEBHOOK_SECRET_KEYS).rotate(token.encode()).decode()


@cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derive(key))) for key in keys])


def _derive(key: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"task-api webhook secrets").derive(key.encode())
