"""Encryption of the secrets at rest."""

import pytest
from cryptography.fernet import InvalidToken

from webhooks.encryption import decrypt, encrypt, reencrypt

OLD, NEW = "o" * 32, "n" * 32


def test_what_is_stored_does_not_hold_the_secret(settings):
    token = encrypt("whsec_secret")
    assert "secret" not in token
    assert encrypt("whsec_secret") != token
    assert len(encrypt("whsec_" + "x" * 44)) <= 200
    assert decrypt(token) == "whsec_secret"


def test_keys_can_be_rotated(settings):
    settings.WEBHOOK_SECRET_KEYS = (OLD,)
    token = encrypt("whsec_secret")

    settings.WEBHOOK_SECRET_KEYS = (NEW, OLD)
    assert decrypt(token) == "whsec_secret"
    again = reencrypt(token)

    settings.WEBHOOK_SECRET_KEYS = (NEW,)
    assert decrypt(again) == "whsec_secret"
    with pytest.raises(InvalidToken):
        decrypt(token)


def test_what_was_changed_is_not_decrypted():
    token = encrypt("whsec_secret")
    with pytest.raises(InvalidToken):
        decrypt(token[:-4] + "AAA=")
