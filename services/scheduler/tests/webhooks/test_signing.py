"""Signatures, verified with the specification's own library."""

import base64
import datetime

import pytest
import time_machine
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from webhooks.signing import new_secret, signed_headers

NOW = datetime.datetime(2026, 1, 31, 9, 30, tzinfo=datetime.UTC)
BODY = '{"type":"task.created","data":{"title":"é"}}'.encode()


def headers(*secrets: str) -> dict[str, str]:
    return signed_headers(message_id="a" * 32, timestamp=int(NOW.timestamp()), body=BODY, secrets=secrets)


def test_secret_has_the_form_and_strength_of_the_specification():
    secret = new_secret()
    assert secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
    assert new_secret() != secret


def test_signature_is_that_of_the_specification():
    """The example and secret of https://github.com/standard-webhooks/standard-webhooks, libraries/python/tests."""
    signed = signed_headers(
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
        secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@time_machine.travel(NOW)
def test_each_secret_verifies():
    first, second = new_secret(), new_secret()
    signed = headers(first, second)

    assert Webhook(first).verify(BODY, signed)["data"] == {"title": "é"}
    assert Webhook(second).verify(BODY, signed)
    assert len(signed["webhook-signature"].split(" ")) == 2


@time_machine.travel(NOW)
@pytest.mark.parametrize("change", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_nothing_else_verifies(change: str):
    secret = new_secret()
    signed = headers(secret)
    body = BODY + b" " if change == "body" else BODY
    if change in signed:
        signed[change] = "1" + signed[change][1:] if change == "webhook-id" else str(int(signed[change]) + 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret() if change == "secret" else secret).verify(body, signed)
