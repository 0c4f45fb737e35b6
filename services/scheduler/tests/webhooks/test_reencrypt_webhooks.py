"""A new key for the secrets at rest, without downtime."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.webhooks.support import NOW, make_endpoint
from webhooks.encryption import decrypt
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW = "o" * 32, "n" * 32


def reencrypt() -> str:
    output = StringIO()
    call_command("reencrypt_webhooks", stdout=output)
    return output.getvalue()


def test_every_secret_is_encrypted_by_the_first_key(settings):
    settings.WEBHOOK_SECRET_KEYS = (OLD,)
    first = make_endpoint()
    second = make_endpoint(previous_secret=first.secret)
    make_endpoint(slot=-1, secret="", updated_at=NOW)

    settings.WEBHOOK_SECRET_KEYS = (NEW, OLD)
    assert reencrypt() == "2 webhooks are encrypted with the first key\n"

    settings.WEBHOOK_SECRET_KEYS = (NEW,)
    assert decrypt(Endpoint.objects.get(id=first.id).secret) == first.plain_secret
    exchanged = Endpoint.objects.get(id=second.id)
    assert decrypt(exchanged.secret) == second.plain_secret
    assert decrypt(exchanged.previous_secret) == first.plain_secret


def test_lost_key_is_named(settings):
    settings.WEBHOOK_SECRET_KEYS = (OLD,)
    make_endpoint()
    settings.WEBHOOK_SECRET_KEYS = (NEW,)
    with pytest.raises(CommandError, match="WEBHOOK_SECRET_KEY: none of its keys decrypts one of the secrets"):
        reencrypt()
